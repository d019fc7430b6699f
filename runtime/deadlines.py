"""Many deadlines, one timer.

A cancel scope with a deadline costs about 9 us of CPU, more than the rest of a whole ask; deadlines
nearly always pass unused. So they wait in slots of `TICK_S`, one task sleeps until the next slot is
due in which somebody waits, and setting or dropping a deadline is a dictionary operation. A
deadline never fires early, and at most one tick (plus the event loop's lag) late.
"""

import heapq
import math
from typing import Protocol

import anyio

from runtime.host import Clock, wait_at_most

TICK_S = 0.05


class Expiring(Protocol):
    """Something that wants to be told when its time is up."""

    def expire(self) -> None:
        """Take note; called on the timer's task, so it must not raise or wait."""
        ...


class Deadlines:
    """Deadlines on one clock, served while `run` runs."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._slots: dict[int, dict[Expiring, None]] = {}
        self._due: list[int] = []  # a heap of slot numbers, each at least once
        self._changed = anyio.Event()
        self.running = False

    def add(self, waiter: Expiring, delay_s: float) -> int:
        """Call ``waiter.expire()`` after ``delay_s``; returns the slot, for `drop`."""
        slot = math.ceil((self._clock.monotonic() + delay_s) / TICK_S)
        waiters = self._slots.get(slot)
        if waiters is None:
            waiters = self._slots[slot] = {}
            if not self._due or slot < self._due[0]:
                self._changed.set()
            heapq.heappush(self._due, slot)
        waiters[waiter] = None
        return slot

    def drop(self, waiter: Expiring, slot: int) -> None:
        """Forget ``waiter``; harmless when it has expired."""
        waiters = self._slots.get(slot)
        if waiters is not None:
            waiters.pop(waiter, None)

    def left_s(self, waiter: Expiring) -> float | None:
        """Return how long ``waiter`` still has, by looking at all that wait; None: not one of them.

        It may be a tick too much.
        """
        for slot, waiters in self._slots.items():
            if waiter in waiters:
                return slot * TICK_S - self._clock.monotonic()
        return None

    async def run(self) -> None:
        """Serve until cancelled; then every deadline still open expires at once."""
        self.running = True
        try:
            while True:
                self._expire_until(self._clock.monotonic())
                await self._sleep()
        finally:
            self.running = False
            self._expire_until(math.inf)

    async def _sleep(self) -> None:
        self._changed = anyio.Event()
        while self._due and not self._slots.get(self._due[0]):
            self._slots.pop(heapq.heappop(self._due), None)
        if not self._due:
            await self._changed.wait()
            return
        await wait_at_most(self._changed, self._due[0] * TICK_S - self._clock.monotonic())

    def _expire_until(self, now: float) -> None:
        while self._due and self._due[0] * TICK_S <= now:
            for waiter in self._slots.pop(heapq.heappop(self._due), {}):
                waiter.expire()
