"""What observers have seen of a running world, as plain rows beside the ledgers (`evidence`).

Files cannot show everything: when something was committed and by whom, what was in flight when a
row was removed, who was at work at the same time. ``at`` is in virtual seconds, ``step`` the
number of the trace's event; both are the same in every run of one plan.
"""

from typing import Any

import msgspec

from sim.history import Answered, Sent, Watching


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a table of interest was changed for good.

    ``values`` are the columns that were set, ``where`` those by which the row was found; ``rows``
    is how many the statement changed, ``row_id`` the one that it inserted. Not ``certain``: the
    power went in this very moment, and nobody was told that it was committed.
    """

    at: float
    step: int
    node: str
    incarnation: int
    database: str
    table: str
    verb: str
    values: dict[str, Any]
    where: dict[str, Any]
    certain: bool = True
    rows: int = 1
    row_id: int = 0


class Publication(msgspec.Struct, frozen=True):
    """A message that reached the broker. ``node`` is the publisher's; ``header`` as on the wire."""

    at: float
    step: int
    node: str
    exchange: str
    routing_key: str
    message_id: str
    header: bytes
    body: bytes


class Written(msgspec.Struct, frozen=True):
    """A process has written a message to its connection; whether it arrives is another matter."""

    at: float
    step: int
    node: str
    incarnation: int
    exchange: str
    routing_key: str
    message_id: str


class Removal(msgspec.Struct, frozen=True):
    """An outbox row was removed; what its relay had been told by then.

    ``sent``: how often this incarnation has published it; of those, so many were ``acked`` without
    having been ``returned``, and so many were.
    """

    at: float
    step: int
    node: str
    position: int
    message_id: str
    sent: int
    acked: int
    returned: int


class Fate(msgspec.Struct):
    """What one process knows of a message that it has published, as counts.

    ``acked`` are the acks of what was not ``returned`` before: those say that a queue has it.
    ``blocked``: the broker said that it takes nothing while this was without a confirm. ``behind``:
    one confirm settled several messages before it, and not this.
    """

    sent: int = 0
    acked: int = 0
    nacked: int = 0
    returned: int = 0
    blocked: int = 0
    behind: int = 0


class Consuming(msgspec.Struct):
    """One consumer on one channel, as the broker's side of the wire saw it.

    ``prefetch`` is what it asked for (0: no limit), ``outstanding_max`` the most that it held at a
    time. Of the ``delivered`` each was ``acked``, ``refused`` (nack, reject), or came ``back`` with
    its channel; ``strays`` are acks of what was not outstanding. ``open``: its channel never ended.
    """

    node: str
    queue: str
    tag: str
    prefetch: int
    outstanding_max: int = 0
    delivered: int = 0
    acked: int = 0
    refused: int = 0
    back: int = 0
    strays: int = 0
    open: bool = True


class Delivery(msgspec.Struct):
    """A message as a process was given it, and when that process wrote its ack (None: never)."""

    at: float
    step: int
    node: str
    incarnation: int
    queue: str
    message_id: str
    redelivered: bool
    requeued: bool
    acked_at: float | None = None
    acked_step: int = 0


class Call(msgspec.Struct):
    """One process asks an outside party for something about an order.

    ``facts`` are the arguments that matter: a card's token, an amount, an address. ``ended_at`` is
    when the caller had its answer, or gave up (None: it died first).
    """

    at: float
    step: int
    node: str
    incarnation: int
    party: str
    what: str
    order_id: str
    key: str
    facts: dict[str, Any]
    ended_at: float | None = None
    outcome: str = ""


class Incident(msgspec.Struct, frozen=True):
    """A log event of the product; of its fields those that are text or numbers."""

    at: float
    step: int
    node: str
    incarnation: int
    name: str
    fields: dict[str, Any]


class Life(msgspec.Struct):
    """One process of a node, from its start to its end, in virtual seconds.

    ``ready_at``: its tree had started. ``told_at``: it was told to stop (SIGTERM), while it held
    ``in_hand`` deliveries. ``ended_in`` is the state in which it was until its end (see `Struck`).
    ``leaked`` are tasks that were still there when it ended by itself.
    """

    node: str
    number: int
    began_at: float
    ready_at: float | None = None
    told_at: float | None = None
    in_hand: int = 0
    ended_at: float | None = None
    ended_in: str = ""
    reason: str = ""
    leaked: list[str] = []


class Child(msgspec.Struct, frozen=True):
    """One place in the supervision tree of a living process, as it stood at rest.

    ``supervisor`` may restart its children ``restarts_max`` times in ``window_s`` seconds.
    """

    node: str
    supervisor: str
    name: str
    state: str
    restarts_max: int = 5
    window_s: float = 30.0


class Held(msgspec.Struct, frozen=True):
    """A gauge of a living process that counts what it does for somebody, as it stood at rest."""

    node: str
    metric: str
    labels: tuple[str, ...]
    value: float


class Struck(msgspec.Struct, frozen=True):
    """A fault made a difference. ``states``: how each process of ours stood at that moment.

    *down*, *starting*, *idle*, *working* (it held deliveries), *stopping*.
    """

    at: float
    step: int
    kind: str
    variety: str
    target: str
    facts: dict[str, Any]
    states: dict[str, str]
    lives: dict[str, int]


class Reading(msgspec.Struct, frozen=True):
    """How many rows each ledger had before the past was read, and after it.

    ``versions``: what ``?at=`` has told of an order's versions, each as (asked for, told).
    """

    before: dict[str, int]
    after: dict[str, int]
    versions: dict[str, list[tuple[int, int]]]


class Rebuilt(msgspec.Struct, frozen=True):
    """The order list's rows as they were kept, and as the log makes them again.

    ``moved``: the other tables whose number of rows has changed by that.
    """

    kept: list[tuple[Any, ...]]
    made: list[tuple[Any, ...]]
    moved: list[str] = []


class Observed(msgspec.Struct, kw_only=True):
    """Everything that was seen, in the order in which it happened.

    ``fates``: what became of a message that a node's process has published, as that process was
    told. ``disks``: what was made of each node's statements. ``attempts``: when a node tried to
    reach the broker. ``torn``: connections that ended inside a frame.
    ``unacked`` deliveries were out at rest. ``mishaps`` are what no code has handled: exceptions of
    tasks that nobody waits for, coroutines that nobody awaited.
    """

    commits: list[Commit] = []
    written: list[Written] = []
    published: list[Publication] = []
    removals: list[Removal] = []
    consuming: list[Consuming] = []
    delivered: list[Delivery] = []
    calls: list[Call] = []
    incidents: list[Incident] = []
    lives: list[Life] = []
    children: list[Child] = []
    held: list[Held] = []
    readings: list[Reading] = []
    rebuilt: list[Rebuilt] = []
    struck: list[Struck] = []
    history: list[Sent | Answered] = []
    watching: list[Watching] = []
    fates: list[tuple[str, int, str, Fate]] = []
    disks: dict[str, list[str]] = {}
    attempts: list[tuple[float, str]] = []
    torn: int = 0
    mailboxes: list[tuple[str, int, int]] = []
    mishaps: list[str] = []
    unacked: int = 0
    faulty: bool = False
