"""The last quarter of an hour of some figures, in memory: what a rate is made of, and a chart.

It begins with its process, and says since when it samples. What must be known for longer belongs to
a monitoring system, which reads the metrics.
"""

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice

import anyio
import msgspec

from runtime.child import ChildContext, ChildSpec
from runtime.host import Clock

EVERY_S = 10.0
KEPT = 91
RATE_SAMPLES = 7
"""A rate is over a minute, once there has been one."""

Figure = Callable[[], float]


class Samples(msgspec.Struct, frozen=True):
    """What was sampled, oldest first, every ``every_s`` seconds since ``since_ms`` (Unix time).

    ``levels`` are figures by name, one for each of ``at_ms``. ``per_s`` are the rates of counters
    over the last ``over_s`` seconds; empty until there are two samples.
    """

    since_ms: int
    every_s: float
    at_ms: list[int]
    levels: dict[str, list[float]]
    over_s: float
    per_s: dict[str, float]


class _Sample(msgspec.Struct, frozen=True):
    at_s: float
    at_ms: int
    levels: list[float]
    counters: list[float]


class Sampler:
    """Samples ``levels`` as they are, and ``counters`` for their rates."""

    def __init__(
        self,
        clock: Clock,
        *,
        levels: Mapping[str, Figure],
        counters: Mapping[str, Figure],
        every_s: float = EVERY_S,
    ) -> None:
        self._clock = clock
        self._levels = dict(levels)
        self._counters = dict(counters)
        self._every_s = every_s
        self._kept: deque[_Sample] = deque(maxlen=KEPT)
        self._since_ms = int(clock.wall() * 1000)

    def child(self) -> ChildSpec:
        """Return the child that samples."""
        return ChildSpec("sampler", self.run, shutdown_s=1.0)

    async def run(self, context: ChildContext) -> None:
        """Sample until told to stop; what was sampled before a restart is kept."""
        context.started()
        while not context.stopping.is_set():
            self.take()
            with anyio.move_on_after(self._every_s):
                await context.stopping.wait()

    def take(self) -> None:
        """Take one sample now."""
        self._kept.append(
            _Sample(
                self._clock.monotonic(),
                int(self._clock.wall() * 1000),
                [figure() for figure in self._levels.values()],
                [figure() for figure in self._counters.values()],
            )
        )

    def samples(self) -> Samples:
        """Return what there is."""
        kept = self._kept
        levels = {
            name: [sample.levels[i] for sample in kept] for i, name in enumerate(self._levels)
        }
        over_s, per_s = self._rates()
        at_ms = [sample.at_ms for sample in kept]
        return Samples(self._since_ms, self._every_s, at_ms, levels, over_s, per_s)

    def _rates(self) -> tuple[float, dict[str, float]]:
        lately = list(islice(reversed(self._kept), RATE_SAMPLES))
        if len(lately) < 2:
            return 0.0, {}
        newest, oldest = lately[0], lately[-1]
        over_s = newest.at_s - oldest.at_s
        per_s = {
            name: round(max(0.0, newest.counters[i] - oldest.counters[i]) / over_s, 2)
            for i, name in enumerate(self._counters)
        }
        return round(over_s, 1), per_s
