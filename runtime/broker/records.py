"""What the journal must know to bring a broker back: facts in the order they happened.

The core notes records; whoever runs it takes them in batches, writes each batch in one transaction
and tells the core the batch's mark. Until then the core keeps back the confirms and answers that
promise durability. Without a journal nothing is noted and nothing is kept back.
"""

from typing import TYPE_CHECKING

import msgspec

from runtime.broker.routing import Binding

if TYPE_CHECKING:
    from runtime.broker.queue import Queue


class ExchangeDeclared(msgspec.Struct, frozen=True):
    """A durable exchange; ``arguments`` is the encoded table."""

    vhost: str
    name: str
    type: str
    auto_delete: bool
    internal: bool
    arguments: bytes


class ExchangeDeleted(msgspec.Struct, frozen=True):
    """The exchange is gone, and its bindings with it."""

    vhost: str
    name: str


class QueueDeclared(msgspec.Struct, frozen=True):
    """A durable queue; ``number`` names it in the records of its messages."""

    number: int
    vhost: str
    name: str
    auto_delete: bool
    arguments: bytes


class QueueDeleted(msgspec.Struct, frozen=True):
    """The queue is gone, and its messages and bindings with it."""

    number: int
    vhost: str
    name: str


class Bound(msgspec.Struct, frozen=True):
    """A binding between durable things."""

    vhost: str
    binding: Binding


class Unbound(msgspec.Struct, frozen=True):
    """The binding is gone."""

    vhost: str
    binding: Binding


class Stored(msgspec.Struct, frozen=True):
    """A message in a queue. ``expires_at_ms`` is wall time: the clock of a new process differs.

    ``hidden_keys`` are its routing keys beyond the first that its header does not show (BCC), as an
    encoded array.
    """

    position: int
    queue: int
    exchange: str
    routing_key: str
    header: bytes
    body: bytes
    expires_at_ms: int | None
    hidden_keys: bytes


class Removed(msgspec.Struct, frozen=True):
    """The message left its queue."""

    position: int


class Counted(msgspec.Struct, frozen=True):
    """The message came back and has now been returned ``count`` times (quorum queues)."""

    position: int
    count: int


class Delivered(msgspec.Struct, frozen=True):
    """The message has been handed out (queues with priorities: there positions do not tell)."""

    position: int


class DeliveredThrough(msgspec.Struct, frozen=True):
    """Every message of the queue up to this position has been handed out at least once."""

    queue: int
    position: int


Record = (
    ExchangeDeclared
    | ExchangeDeleted
    | QueueDeclared
    | QueueDeleted
    | Bound
    | Unbound
    | Stored
    | Removed
    | Counted
    | Delivered
    | DeliveredThrough
)


class Batch(msgspec.Struct, frozen=True):
    """Records to write in one transaction; tell the core ``mark`` once they are on disk."""

    mark: int
    records: list[Record]


class Recorder:
    """Collects records. ``mark`` is the number noted so far, ``committed`` the number on disk."""

    def __init__(self, *, enabled: bool) -> None:
        self.enabled = enabled
        self.mark = 0
        self.committed = 0
        self.waiting_bytes = 0
        self._records: list[Record] = []
        self._delivering: dict[Queue, None] = {}

    def note(self, record: Record) -> None:
        """Add a record."""
        if self.enabled:
            self._records.append(record)
            self.mark += 1
            if isinstance(record, Stored):
                self.waiting_bytes += len(record.body)

    def note_delivery(self, queue: "Queue") -> None:
        """The queue handed out a stored message; only the last one of a batch is recorded."""
        if self.enabled:
            self._delivering[queue] = None

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return bool(self._records or self._delivering)

    @property
    def waiting_records(self) -> int:
        """How many records are there to take."""
        return len(self._records)

    def take(self) -> Batch:
        """Hand over what has been noted since the last time."""
        for queue in self._delivering:
            self.note(DeliveredThrough(queue.number, queue.delivered_through))
        self._delivering = {}
        records, self._records = self._records, []
        self.waiting_bytes = 0
        return Batch(self.mark, records)
