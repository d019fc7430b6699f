"""What one round measured, and the arithmetic on several of them.

Ratios within one run are results; absolute figures drift with the machine. CPU time of an operation
is steadier than its rate, so most ratios are of CPU time.
"""

import statistics
from collections.abc import Sequence

import msgspec


class Latency(msgspec.Struct, frozen=True):
    """Percentiles in milliseconds, from the moment the operation was meant to begin."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> "Latency | None":
        """Return the percentiles (nearest rank) of these durations; None of nothing."""
        if not seconds:
            return None
        ordered = sorted(seconds)
        last = len(ordered) - 1

        def at(share: float) -> float:
            return round(1000 * ordered[min(last, int(share * len(ordered)))], 4)

        return cls(at(0.5), at(0.9), at(0.99), at(0.999), round(1000 * ordered[-1], 4))


class Sample(msgspec.Struct, frozen=True, kw_only=True):
    """One round: how many operations, how long, at whose cost.

    ``cpu_s`` is that of all processes of the contender, the broker's apart in ``broker_cpu_s``.
    ``memory_mib`` is the largest resident size that one of the processes reached.
    """

    operations: int
    wall_s: float
    cpu_s: float
    memory_mib: float
    broker_cpu_s: float = 0.0
    latency: Latency | None = None
    errors: int = 0
    figures: dict[str, float] = {}

    @property
    def rate(self) -> float:
        """Operations a second."""
        return self.operations / self.wall_s

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU time an operation."""
        return 1e6 * self.cpu_s / self.operations

    def value(self, metric: str) -> float:
        """Return a figure by name: ``rate``, ``cpu_us``, ``p50`` (ms), or one of ``figures``."""
        if metric in ("rate", "cpu_us", "memory_mib", "wall_s", "errors"):
            return float(getattr(self, metric))
        if metric in Latency.__struct_fields__:
            assert self.latency is not None, f"this round has no latency for {metric}"
            return float(getattr(self.latency, metric))
        return self.figures[metric]


class Spread(msgspec.Struct, frozen=True):
    """The median of several rounds, and the least and the most of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one value.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, low=1.0, high=3.0)
        """
        return cls(statistics.median(values), min(values), max(values))


def spread(samples: Sequence[Sample], metric: str) -> Spread:
    """Return the spread of one figure over the rounds."""
    return Spread.of([sample.value(metric) for sample in samples])


def figures(samples: Sequence[Sample]) -> dict[str, Spread]:
    """Return the spread of each of their ``figures``, over the rounds that have it.

    A stage that a round never met, say, is not in its sample.
    """
    names = {name: None for sample in samples for name in sample.figures}
    return {name: spread([one for one in samples if name in one.figures], name) for name in names}


def ratio(above: Sequence[Sample], below: Sequence[Sample], metric: str) -> Spread:
    """Return how many times ``below`` goes into ``above``, round by round as they took turns."""
    pairs = zip(above, below, strict=False)
    return Spread.of([one.value(metric) / other.value(metric) for one, other in pairs])
