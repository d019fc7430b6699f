"""Messages that wait before their work begins, in the service's own database.

A held message was acknowledged to the broker, so its row here is all there is of it. It is written
with the inbox row (*held*) in one transaction, and it leaves in the transaction that settles that
inbox row: a trigger sees to it. Due messages are told to their lane in the order they are due; a
crash only means that they are told again.
"""

import sqlite3
from collections.abc import Callable
from functools import partial

import anyio
import msgspec

from runtime.child import ChildContext
from runtime.database import Database
from runtime.errors import MailboxClosed, MailboxFull
from runtime.host import Clock, wait_at_most
from runtime.inbox import Claimed, mark_held
from runtime.message import Message
from runtime.stored import message_of, properties_of
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE holds (
    message_id TEXT PRIMARY KEY,
    due_at_ms INTEGER NOT NULL,
    properties BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX holds_due ON holds (due_at_ms, message_id);
CREATE TRIGGER holds_leave_when_settled AFTER UPDATE OF state ON inbox
WHEN OLD.state = 'held' AND NEW.state <> 'held'
BEGIN DELETE FROM holds WHERE message_id = NEW.message_id; END;
"""

FOREVER_S = 1e12
SET_BACK_S = 60.0
"""A clock that is set back by less only lengthens a hold by as much."""


class HoldStatistics(msgspec.Struct, frozen=True):
    """``told`` is how many are in their lanes now; ``next_due_s`` counts from the last look."""

    told: int
    told_total: int
    refused_total: int
    next_due_s: float | None


class Holds:
    """The hold of one service: `put` in a transaction, and a child that tells what is due.

    ``tell`` puts a message into its lane and may raise `MailboxFull`: it is told again after
    ``retry_s``. The clock may be set, so the due times are looked at every ``poll_s`` at least, and
    what is due much later than ``longest_s`` from now, the longest hold there is, is due: it was
    put here before the clock was set back.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        tell: Callable[[Message], None],
        *,
        batch_max: int = 256,
        poll_s: float = 30.0,
        retry_s: float = 0.05,
        longest_s: float = FOREVER_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self._tell = tell
        self._batch_max = batch_max
        self._poll_s = poll_s
        self._retry_s = retry_s
        self._latest_s = longest_s + SET_BACK_S
        self._woken = anyio.Event()
        self._told: dict[str, None] = {}
        self._statistics = HoldStatistics(0, 0, 0, None)

    def put(
        self, tx: Transaction, claimed: Claimed, message: Message, due_at_ms: int, now_ms: int
    ) -> None:
        """Hold a message that was claimed in this transaction; after the commit it may be acked."""
        mark_held(tx, claimed, now_ms)
        tx.connection.execute(
            "INSERT INTO holds (message_id, due_at_ms, properties, body) VALUES (?, ?, ?, ?)",
            (message.message_id, due_at_ms, properties_of(message), message.body),
        )
        tx.on_commit(self.wake)

    def tell_again(self, message_id: str) -> None:
        """Tell a message that was told and could not be settled: nobody else will."""
        self._told.pop(message_id, None)
        self.wake()

    async def peek(self, most: int) -> list[Message]:
        """Return what is held, what is due first."""
        query = "SELECT properties, body FROM holds ORDER BY due_at_ms, message_id LIMIT ?"
        rows = await self._database.read(
            lambda connection: connection.execute(query, (most,)).fetchall()
        )
        return [message_of(*row) for row in rows]

    def wake(self) -> None:
        """Look again now."""
        self._woken.set()

    def statistics(self) -> HoldStatistics:
        """Return the figures of the last look."""
        return self._statistics

    async def run(self, context: ChildContext) -> None:
        """Tell what is due until told to stop; begins with what a crash has left."""
        self._told.clear()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._wake_on, context.stopping)
            context.started()
            while not context.stopping.is_set():
                self._woken = anyio.Event()
                pause_s = await self._look()
                await wait_at_most(self._woken, pause_s)

    async def _wake_on(self, stopping: anyio.Event) -> None:
        await stopping.wait()
        self.wake()

    async def _look(self) -> float:
        """Tell what is due; return how long nothing can become due (0: there is more)."""
        wall_ms = self._clock.wall() * 1000
        limit = self._batch_max + len(self._told)
        latest_ms = int(wall_ms + self._latest_s * 1000)
        due, next_due_ms = await self._database.read(partial(_due, int(wall_ms), latest_ms, limit))
        self._told = {message_id: None for message_id, _, _ in due if message_id in self._told}
        waiting = [row for row in due if row[0] not in self._told]
        refused = sum(not self._offer(*row) for row in waiting)
        next_due_s = None if next_due_ms is None else (next_due_ms - wall_ms) / 1000
        self._count(told=len(waiting) - refused, refused=refused, next_due_s=next_due_s)
        if refused:
            return self._retry_s
        if len(due) == limit:
            return 0
        # A millisecond more: woken too early, one would find nothing and wait for nothing.
        return self._poll_s if next_due_s is None else min(next_due_s + 0.001, self._poll_s)

    def _offer(self, message_id: str, properties: bytes, body: bytes) -> bool:
        try:
            self._tell(message_of(properties, body))
        except (MailboxFull, MailboxClosed):
            return False
        self._told[message_id] = None
        return True

    def _count(self, *, told: int, refused: int, next_due_s: float | None) -> None:
        before = self._statistics
        self._statistics = HoldStatistics(
            len(self._told),
            before.told_total + told,
            before.refused_total + refused,
            next_due_s,
        )


def _due(
    now_ms: int, latest_ms: int, limit: int, connection: sqlite3.Connection
) -> tuple[list[tuple[str, bytes, bytes]], int | None]:
    due = connection.execute(
        "SELECT message_id, properties, body FROM holds WHERE due_at_ms <= ? OR due_at_ms > ?"
        " ORDER BY due_at_ms, message_id LIMIT ?",
        (now_ms, latest_ms, limit),
    ).fetchall()
    (next_due_ms,) = connection.execute(
        "SELECT min(due_at_ms) FROM holds WHERE due_at_ms > ? AND due_at_ms <= ?",
        (now_ms, latest_ms),
    ).fetchone()
    return due, next_due_ms
