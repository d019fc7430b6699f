"""What a service remembers of the messages it was given, so that each has its effects once.

One row per message id, in the service's own database. `VERDICTS` is the whole decision; the
broker's ``redelivered`` flag has no say in it. A row is *done* only after all effects of its
message are durable. A claim of an incarnation that died is resumed at once, with its completed
steps; within one incarnation the lane keeps two deliveries of a message apart.
"""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

import anyio
import msgspec

from runtime.child import ChildContext
from runtime.database import Database
from runtime.duplicates import purge_duplicates
from runtime.errors import StoreUnavailable
from runtime.host import Clock
from runtime.message import Message
from runtime.transaction import Transaction, Work

SCHEMA = """
CREATE TABLE inbox (
    message_id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('claimed', 'held', 'requeued', 'done', 'parked')),
    incarnation TEXT NOT NULL,
    steps BLOB,
    attempt INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX inbox_done ON inbox (updated_at_ms) WHERE state = 'done';
"""

REPLAYED = "x-replayed"

State = Literal["claimed", "held", "requeued", "done", "parked"]
Settled = Literal["done", "requeued", "parked"]
Delivery = Literal["first", "requeued", "replayed"]
Verdict = Literal["claim", "resume", "restart", "duplicate"]

# claim: nothing is known of it. resume: go on after the completed steps. restart: the same, and
# attempts are counted from 0 again. duplicate: acknowledge it and forget it.
VERDICTS: Mapping[State | None, Mapping[Delivery, Verdict]] = {
    None: {"first": "claim", "requeued": "claim", "replayed": "claim"},
    # Whoever claimed it is dead, or the broker took the delivery back while it waited.
    "claimed": {"first": "resume", "requeued": "resume", "replayed": "resume"},
    # The copy in the hold is the one that will be worked on.
    "held": {"first": "duplicate", "requeued": "duplicate", "replayed": "duplicate"},
    # The copy that we published is the one that counts, unless an operator found it dead.
    "requeued": {"first": "duplicate", "requeued": "resume", "replayed": "resume"},
    "done": {"first": "duplicate", "requeued": "duplicate", "replayed": "duplicate"},
    "parked": {"first": "duplicate", "requeued": "duplicate", "replayed": "restart"},
}


class Superseded(Exception):
    """Another incarnation has taken this message over: write nothing, settle nothing."""


class Claimed(msgspec.Struct, frozen=True):
    """The right to work on a message.

    ``attempt`` is the number of attempts made before, ``steps`` what those have completed.
    ``held``: it comes from the hold, and its row there leaves when it is settled. ``resumed``:
    somebody has begun it before, so an outside effect may have happened without a completed step.
    """

    message_id: str
    incarnation: str
    attempt: int
    steps: dict[str, bytes]
    resumed: bool
    held: bool = False


class Duplicate(msgspec.Struct, frozen=True):
    """There is nothing to do: the row's ``state`` says why."""

    message_id: str
    state: State


def delivery_kind(message: Message) -> Delivery:
    """Tell a first delivery from a copy put back on purpose, by us or by an operator."""
    if message.requeued:
        return "requeued"
    return "replayed" if message.headers.get(REPLAYED) is True else "first"


def claim(tx: Transaction, message: Message, incarnation: str, now_ms: int) -> Claimed | Duplicate:
    """Decide by `VERDICTS`, and take the row for ``incarnation`` where there is work to do."""
    attempt, kind = message.attempt, delivery_kind(message)
    inserted = tx.connection.execute(
        "INSERT INTO inbox (message_id, state, incarnation, steps, attempt, updated_at_ms)"
        " VALUES (?, 'claimed', ?, NULL, ?, ?) ON CONFLICT (message_id) DO NOTHING",
        (message.message_id, incarnation, attempt, now_ms),
    )
    if inserted.rowcount == 1:
        assert VERDICTS[None][kind] == "claim", "what was never seen is new"
        return Claimed(message.message_id, incarnation, attempt, {}, resumed=False)
    row = _row(tx.connection, message.message_id)
    assert row is not None, "what is in the way of a row is a row"
    verdict = VERDICTS[row.state][kind]
    if verdict == "duplicate":
        return Duplicate(message.message_id, row.state)
    # Copies and redeliveries of one message may both live: their attempts overlap, not add up.
    attempt = max(0 if verdict == "restart" else row.attempt, attempt)
    tx.connection.execute(
        "UPDATE inbox SET state = 'claimed', incarnation = ?, attempt = ?, updated_at_ms = ?"
        " WHERE message_id = ?",
        (incarnation, attempt, now_ms, message.message_id),
    )
    steps = _decode(row.steps)
    return Claimed(message.message_id, incarnation, attempt, steps, resumed=verdict != "claim")


def claim_held(
    tx: Transaction, message_id: str, incarnation: str, now_ms: int
) -> Claimed | Duplicate:
    """Take a message that the hold has told. It stays *held* until it is settled.

    So a copy from the broker is a duplicate all the while, and after a crash the hold tells it
    again. `Duplicate` where it was settled meanwhile.
    """
    row = _row(tx.connection, message_id)
    assert row is not None, f"{message_id} is in the hold, but not in the inbox"
    if row.state != "held":
        return Duplicate(message_id, row.state)
    tx.connection.execute(
        "UPDATE inbox SET incarnation = ?, updated_at_ms = ? WHERE message_id = ?",
        (incarnation, now_ms, message_id),
    )
    begun = row.incarnation != _NOBODY
    return Claimed(message_id, incarnation, row.attempt, _decode(row.steps), begun, held=True)


def mark_held(tx: Transaction, claimed: Claimed, now_ms: int) -> None:
    """Leave a message that was claimed, and not begun, to the hold (`runtime.hold` calls it)."""
    _update(tx, claimed, "state = 'held', incarnation = ?, updated_at_ms = ?", _NOBODY, now_ms)


def complete_step(
    tx: Transaction, claimed: Claimed, step: str, result: bytes, now_ms: int
) -> Claimed:
    """Record that ``step`` is done with ``result``; return the claim that knows it.

    Raises `Superseded`. A step's work and its record are one transaction if both are in ``tx``.
    """
    steps = {**claimed.steps, step: result}
    _update(tx, claimed, "steps = ?, updated_at_ms = ?", _encoder.encode(steps), now_ms)
    return msgspec.structs.replace(claimed, steps=steps)


def settle(
    tx: Transaction,
    claimed: Claimed,
    state: Settled,
    now_ms: int,
    *,
    attempt: int | None = None,
    last: Sequence[Work[object]] = (),
) -> None:
    """Say how the work ended; ``attempt`` is the number of attempts made (default: as it was).

    *requeued* only after the broker has confirmed the copy, *done* only after all effects are
    durable; those of ``last`` are made so with it (`Claim.at_end`). A row of the hold leaves with
    it. Raises `Superseded`.
    """
    made = claimed.attempt if attempt is None else attempt
    if state == "done":
        _update(tx, claimed, "state = 'done', steps = NULL, updated_at_ms = ?", now_ms)
        for work in last:
            work(tx)
    else:
        _update(tx, claimed, "state = ?, attempt = ?, updated_at_ms = ?", state, made, now_ms)


def purge_done(tx: Transaction, before_ms: int, limit: int = 1000) -> int:
    """Forget at most ``limit`` done messages last touched before this time; return how many."""
    return tx.connection.execute(
        "DELETE FROM inbox WHERE message_id IN (SELECT message_id FROM inbox"
        " WHERE state = 'done' AND updated_at_ms < ? ORDER BY updated_at_ms LIMIT ?)",
        (before_ms, limit),
    ).rowcount


def states_of(connection: sqlite3.Connection, message_ids: Sequence[str]) -> dict[str, State]:
    """Return the states of those of these messages that have a row."""
    rows = ((message_id, _row(connection, message_id)) for message_id in message_ids)
    return {message_id: row.state for message_id, row in rows if row is not None}


class Claim:
    """One message's claim, as its handler sees it."""

    def __init__(
        self,
        database: Database,
        claimed: Claimed,
        wall: Callable[[], float],
        begun: object = None,
    ) -> None:
        self._database = database
        self._wall = wall
        self.claimed = claimed
        self.begun = begun
        self.last: list[Work[object]] = []

    @property
    def completed(self) -> Mapping[str, bytes]:
        """The results of the steps that were completed, by this attempt or an earlier one."""
        return self.claimed.steps

    @property
    def attempt(self) -> int:
        """How many attempts were made before this one."""
        return self.claimed.attempt

    @property
    def resumed(self) -> bool:
        """Whether an earlier attempt may have had outside effects that it did not record."""
        return self.claimed.resumed

    async def complete(self, step: str, result: bytes = b"") -> None:
        """Record durably that ``step`` is done: no later attempt does it again."""
        now_ms = int(self._wall() * 1000)
        self.claimed = await self._database.write(
            lambda tx: complete_step(tx, self.claimed, step, result, now_ms)
        )

    def at_end(self, work: Work[object]) -> None:
        """Do ``work`` in the transaction that says that the message is done; not if it ends so not.

        For what the handler has to record and nobody waits for: it saves a commit. It may run more
        than once (only one run is kept), and must not refuse anything.
        """
        self.last.append(work)


class Retention:
    """A child that forgets messages which were done ``retention_s`` ago, every ``every_s``.

    And duplicates (`runtime.duplicates`) of that age.

    A copy that comes later than that is worked on again: guards must hold with an empty inbox.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        retention_s: float,
        *,
        every_s: float = 600.0,
        batch_max: int = 1000,
    ) -> None:
        self._database = database
        self._clock = clock
        self._retention_s = retention_s
        self._every_s = every_s
        self._batch_max = batch_max

    async def run(self, context: ChildContext) -> None:
        """Purge, a short transaction at a time, until told to stop."""
        context.started()
        while not context.stopping.is_set():
            with suppress(StoreUnavailable):  # a full disk is told elsewhere; this can wait
                await self._purge(context.stopping)
            with anyio.move_on_after(self._every_s):
                await context.stopping.wait()

    async def _purge(self, stopping: anyio.Event) -> None:
        before_ms = int((self._clock.wall() - self._retention_s) * 1000)
        purged = self._batch_max
        while purged == self._batch_max and not stopping.is_set():
            purged = await self._database.write(partial(self._forget, before_ms))

    def _forget(self, before_ms: int, tx: Transaction) -> int:
        """Forget a batch; return the longer one of the two numbers."""
        batch = before_ms, self._batch_max
        return max(purge_done(tx, *batch), purge_duplicates(tx, *batch))


class _Row(msgspec.Struct, frozen=True):
    state: State
    incarnation: str
    steps: bytes | None
    attempt: int


_NOBODY = ""
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(dict[str, bytes])


def _decode(steps: bytes | None) -> dict[str, bytes]:
    return {} if steps is None else _decoder.decode(steps)


def _row(connection: sqlite3.Connection, message_id: str) -> _Row | None:
    found = connection.execute(
        "SELECT state, incarnation, steps, attempt FROM inbox WHERE message_id = ?", (message_id,)
    ).fetchone()
    return None if found is None else _Row(*found)


def _update(tx: Transaction, claimed: Claimed, assignments: str, *values: object) -> None:
    changed = tx.connection.execute(
        f"UPDATE inbox SET {assignments} WHERE message_id = ? AND incarnation = ?"  # noqa: S608
        " AND state IN ('claimed', 'held')",
        (*values, claimed.message_id, claimed.incarnation),
    ).rowcount
    if changed != 1:
        raise Superseded(f"{claimed.message_id} is no longer claimed by {claimed.incarnation}")
