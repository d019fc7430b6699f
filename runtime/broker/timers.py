"""Time as the core sees it: two clocks given from outside, and callbacks run by somebody else."""

import heapq
from collections.abc import Callable
from itertools import count
from typing import Protocol


class Clock(Protocol):
    """Two clocks, as `runtime.host.Clock` has them."""

    def monotonic(self) -> float:
        """Seconds for durations."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch."""
        ...


class Timers:
    """Callbacks by time; equal times in the order of asking."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def at(self, when: float, callback: Callable[[], None]) -> None:
        """Call back at this monotonic time, or as soon as it has passed."""
        heapq.heappush(self._waiting, (when, next(self._numbers), callback))

    def next(self) -> float | None:
        """When there is something to do."""
        return self._waiting[0][0] if self._waiting else None

    def run_one(self) -> bool:
        """Call the first one that is due; False if none is."""
        if not self._waiting or self._waiting[0][0] > self._clock.monotonic():
            return False
        heapq.heappop(self._waiting)[2]()
        return True
