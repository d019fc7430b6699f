"""Keeps a running broker's journal: batch after batch, and again and again on a full disk."""

from collections.abc import Callable, Sequence
from functools import partial

import anyio

from runtime.broker import journal
from runtime.broker.broker import Broker
from runtime.broker.records import Batch, Record
from runtime.database import Database
from runtime.errors import StoreUnavailable
from runtime.host import Clock
from runtime.telemetry import Telemetry
from runtime.transaction import Transaction

STUCK_S_MIN = 0.05
STUCK_S_MAX = 1.0
RECORDS_WAITING_MAX = 8192
BYTES_WAITING_MAX = 8 * 1024 * 1024


class JournalKeeper:
    """Writes what the core notes; without a database there is nothing to keep."""

    def __init__(
        self, broker: Broker, database: Database | None, clock: Clock, telemetry: Telemetry
    ) -> None:
        self._broker = broker
        self._database = database
        self._clock = clock
        self._telemetry = telemetry
        self._batch: Batch | None = None

    @property
    def is_behind(self) -> bool:
        """Whether so much waits to be written that nobody should be read from."""
        recorder = self._broker.recorder
        return (
            recorder.waiting_records > RECORDS_WAITING_MAX
            or recorder.waiting_bytes > BYTES_WAITING_MAX
        )

    async def write_waiting(self, stopping: anyio.Event, written: Callable[[], None]) -> None:
        """Write everything that waits, and call ``written`` after each batch.

        Raises StoreUnavailable only if told to stop while there is no room.
        """
        while self._database is not None and (batch := self._next_batch()) is not None:
            await self._insist(partial(_write, batch.records), stopping)
            self._batch = None
            self._broker.committed(batch.mark)
            written()

    def _next_batch(self) -> Batch | None:
        """Return the batch that could not be written, or the next: each builds on those before."""
        self._batch = self._batch or self._broker.take_records()
        return self._batch

    async def _insist(self, work: Callable[[Transaction], None], stopping: anyio.Event) -> None:
        assert self._database is not None, "there is a journal to write to"
        began, pause_s = self._clock.monotonic(), STUCK_S_MIN
        while True:
            try:
                await self._database.write(work)
                break
            except StoreUnavailable as error:
                if stopping.is_set():
                    raise
                if pause_s == STUCK_S_MIN:
                    self._telemetry.event("broker.stuck", "error", error=error)
            with anyio.move_on_after(pause_s):
                await stopping.wait()
            pause_s = min(2 * pause_s, STUCK_S_MAX)
        if pause_s > STUCK_S_MIN:
            waited_s = round(self._clock.monotonic() - began, 3)
            self._telemetry.event("broker.unstuck", waited_s=waited_s)


def _write(records: Sequence[Record], transaction: Transaction) -> None:
    journal.write(transaction.connection, records)
