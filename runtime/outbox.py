"""Messages on their way to the broker: rows written with the events they tell of, and the relay.

The law of the relay: a row leaves only after the broker has confirmed it and not returned it, so a
message may be sent twice and is never lost. The first sends of one key are in the order of the
rows: a key has one message in flight at most, and one that fails holds back its own key alone.
Nothing is decided here by whether the broker is up; rows simply wait.
"""

from collections import deque
from contextlib import suppress
from functools import partial
from itertools import islice

import anyio
import msgspec

from runtime import outbox_rows
from runtime.child import ChildContext
from runtime.database import Database
from runtime.errors import BrokerLost, DeadlineExceeded, StoreUnavailable
from runtime.host import Host, wait_at_most
from runtime.message import Message
from runtime.outbox_rows import Row
from runtime.publishing import Outgoing, Publisher
from runtime.redaction import describe_error
from runtime.staged import Statement
from runtime.stored import properties_of
from runtime.telemetry import Telemetry
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE outbox (
    -- AUTOINCREMENT: a position is never used again, so a late look never takes one for another
    position INTEGER PRIMARY KEY AUTOINCREMENT,
    key TEXT NOT NULL,
    exchange TEXT NOT NULL,
    routing_key TEXT NOT NULL,
    timestamp INTEGER NOT NULL,
    properties BLOB NOT NULL,
    body BLOB NOT NULL
) STRICT;
"""

_INSERT = "INSERT INTO outbox (key, exchange, routing_key, timestamp, properties, body)"
_ENQUEUE = Statement("outbox", f"{_INSERT} VALUES (?, ?, ?, ?, ?, ?)")
_BACKOFF_S = 0.1


def enqueue(tx: Transaction, key: str, exchange: str, routing_key: str, message: Message) -> None:
    """Have ``message`` published once ``tx`` is committed, after all earlier ones of ``key``.

    Every byte is fixed here, ``message.timestamp`` too. One message id belongs to one key. Register
    ``tx.on_commit(relay.wake)`` too: without it the relay finds the row at its next slow poll.
    """
    properties = properties_of(message)
    tx.write(_ENQUEUE, (key, exchange, routing_key, message.timestamp, properties, message.body))


class RelayStatistics(msgspec.Struct, frozen=True):
    """``tracked`` rows are known to the relay, ``blocked`` keys wait for another try of theirs."""

    pending: int
    oldest_age_s: float
    tracked: int
    blocked: int
    published_total: int
    last_error: str | None


class _Lane:
    """The rows of one key: the first one, and the positions of those behind it."""

    __slots__ = ("due_s", "failures", "head", "row", "waiting")

    def __init__(self, row: Row) -> None:
        self.row: Row | None = row
        self.head = row.position
        self.waiting: deque[int] = deque()
        self.failures = 0
        self.due_s = 0.0

    def advance(self) -> bool:
        """Go on to the next row of the key, which is yet to be read; False where there is none."""
        if not self.waiting:
            return False
        self.head, self.row, self.failures, self.due_s = self.waiting.popleft(), None, 0, 0.0
        return True


class Relay:
    """A child that publishes what `enqueue` wrote. One relay for a table: it alone removes rows.

    A row that fails waits longer each time (full jitter, at most ``backoff_s_max``); while the
    broker is away, or the disk is full, the whole relay does. When told to stop it sends what is
    there for at most ``flush_s``. ``tracked_max`` bounds the memory that a backlog takes.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        host: Host,
        telemetry: Telemetry,
        *,
        batch_max: int = 256,
        poll_s: float = 1.0,
        backoff_s_max: float = 5.0,
        flush_s: float = 3.0,
        lag_s: float = 30.0,
        tracked_max: int = 10_000,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._clock = host.clock
        self._random = host.random
        self._telemetry = telemetry
        self._batch_max = batch_max
        self._poll_s = poll_s
        self._backoff_s_max = backoff_s_max
        self._flush_s = flush_s
        self._lag_s = lag_s
        self._tracked_max = tracked_max
        self._woken = anyio.Event()
        self._uncounted = anyio.Event()
        self._published = 0
        self._last_error: str | None = None
        self._reset()
        telemetry.gauge("outbox_pending", self._pending)
        telemetry.gauge("outbox_oldest_age_seconds", self._age_s)

    def _reset(self) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._confirmed: list[tuple[str, _Lane]] = []
        self._cursor = self._tracked = self._setbacks = 0
        self._counted = False
        self._seen: int | None = None
        self._sending = False
        self._removed = self._given = 0
        self._oldest: int | None = None
        self._lag_told_s = float("-inf")

    def wake(self) -> None:
        """There is something new (`Transaction.on_commit`)."""
        self._woken.set()
        if self._sending:
            self._uncounted.set()

    def statistics(self) -> RelayStatistics:
        """Return the figures as of the relay's latest look, and of what came since."""
        return RelayStatistics(
            pending=self._pending(),
            oldest_age_s=self._age_s(),
            tracked=self._tracked,
            blocked=sum(lane.failures > 0 for lane in self._lanes.values()),
            published_total=self._published,
            last_error=self._last_error,
        )

    def _pending(self) -> int:
        return self._given - self._removed

    def _age_s(self) -> float:
        if self._oldest is None or not self._pending():
            return 0.0
        return max(0.0, self._clock.wall() - self._oldest)

    async def run(self, context: ChildContext) -> None:
        """Publish until told to stop; begins with what a crash has left."""
        self._reset()
        context.started()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._wake_on, context.stopping)
            tasks.start_soon(self._count_meanwhile)
            while not context.stopping.is_set():
                self._woken = anyio.Event()
                pause_s = await self._round()
                if not self._setbacks:
                    await wait_at_most(self._woken, pause_s)
                    continue
                # A wake-up must not cut a backoff short: only the stop does.
                with anyio.move_on_after(pause_s):
                    await context.stopping.wait()
            tasks.cancel_scope.cancel()
        with anyio.move_on_after(self._flush_s):
            while await self._round() == 0:
                pass

    async def _wake_on(self, stopping: anyio.Event) -> None:
        await stopping.wait()
        self.wake()

    async def _count_meanwhile(self) -> None:
        """Count what is added while a batch waits for a broker that is away: no round looks then.

        Where the batch takes no longer than usual, the next round has looked by the time we would.
        """
        while True:
            await self._uncounted.wait()
            await anyio.sleep(self._poll_s)
            self._uncounted = anyio.Event()
            if self._sending:
                with suppress(StoreUnavailable):
                    self._given = await self._database.read(outbox_rows.given)

    async def _round(self) -> float:
        """Look, send what is due, remove what was confirmed; return for how long to rest."""
        setback: Exception | None = None
        try:
            full = await self._look()
            setback = await self._send()
            await self._remove_confirmed()
        except StoreUnavailable as error:
            full, setback = False, error
        if setback is not None:
            self._last_error = describe_error(setback)
            self._setbacks += 1
            return self._backoff_s(self._setbacks)
        self._setbacks = 0
        if full:
            return 0
        now_s = self._clock.monotonic()
        rests = [lane.due_s - now_s for lane in self._lanes.values()]
        return max(0.0, min([*rests, self._poll_s]))

    async def _look(self) -> bool:
        """Read new rows, and the rows that have become first of their key; True if more is there.

        Rows are read in their order, so one that waits behind another row of its key is known.
        """
        if not self._counted:
            # A write, so that it comes after a removal that an incarnation before us has queued.
            self._given, self._removed = await self._database.write(outbox_rows.count)
            self._counted = True
        written = self._database.written
        if written == self._seen and not self._lanes:
            return False  # nobody has written since: a poll costs no query
        room = min(self._batch_max, self._tracked_max - self._tracked)
        heads = [lane.head for lane in self._lanes.values() if lane.row is None]
        look = await self._database.read(partial(outbox_rows.look, self._cursor, room, heads))
        self._given, self._oldest, self._seen = look.given, look.oldest, written
        for row in look.wanted:
            self._lanes[row.key].row = row
        for row in look.new:
            lane = self._lanes.get(row.key)
            if lane is None:
                self._lanes[row.key] = _Lane(row)
            else:
                lane.waiting.append(row.position)
            self._cursor = row.position
        self._tracked += len(look.new)
        self._tell_lag()
        return 0 < room == len(look.new)

    async def _send(self) -> Exception | None:
        """Publish the first row of every key that is due; return why the broker is away, if so."""
        now_s = self._clock.monotonic()
        confirmed = {key for key, _ in self._confirmed}
        sendable = (
            (key, lane, lane.row)
            for key, lane in self._lanes.items()
            if lane.row is not None and lane.due_s <= now_s and key not in confirmed
        )
        due = list(islice(sendable, self._batch_max))
        if not due:
            return None
        batch = [row.outgoing() for _, _, row in due]
        self._sending = True
        try:
            outcomes = await self._publisher.publish_batch(batch)
        finally:
            self._sending = False
        away: Exception | None = None
        for (key, lane, _), outgoing, outcome in zip(due, batch, outcomes, strict=True):
            if outcome is None:
                self._confirmed.append((key, lane))
            elif isinstance(outcome, BrokerLost | DeadlineExceeded):
                away = outcome
            else:
                self._refused(lane, outgoing, outcome)
        return away

    async def _remove_confirmed(self) -> None:
        """Remove confirmed rows; until that is committed they are not sent again."""
        if not self._confirmed:
            return
        positions = [(lane.head,) for _, lane in self._confirmed]
        await self._database.write(partial(outbox_rows.remove, positions))
        self._removed += len(positions)
        self._published += len(positions)
        self._tracked -= len(positions)
        for key, lane in self._confirmed:
            if not lane.advance():
                del self._lanes[key]
        self._confirmed.clear()

    def _refused(self, lane: _Lane, outgoing: Outgoing, error: Exception) -> None:
        lane.failures += 1
        lane.due_s = self._clock.monotonic() + self._backoff_s(lane.failures)
        self._last_error = describe_error(error)
        if lane.failures == 1:
            self._telemetry.event(
                "outbox.refused",
                level="error",
                exchange=outgoing.exchange,
                type=outgoing.message.type,
                message_id=outgoing.message.message_id,
                error=self._last_error,
            )

    def _backoff_s(self, failures: int) -> float:
        ceiling = min(self._backoff_s_max, _BACKOFF_S * 2 ** min(failures, 20))
        return self._random.uniform(0, ceiling)

    def _tell_lag(self) -> None:
        age_s, now_s = self._age_s(), self._clock.monotonic()
        if age_s > self._lag_s and now_s - self._lag_told_s >= self._lag_s:
            self._lag_told_s = now_s
            self._telemetry.event(
                "outbox.lag",
                level="warning",
                pending=self._pending(),
                oldest_age_s=round(age_s, 1),
            )
