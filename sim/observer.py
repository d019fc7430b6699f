"""What each process says of itself, without the cost of writing it down.

The product's telemetry is an object that it is given. This one keeps counts and events in memory,
puts every event's name into the trace, and lets probes listen.
"""

from collections import Counter
from collections.abc import Callable

from actors import system
from runtime.telemetry import Level, Telemetry
from sim.engine import Engine

Listener = Callable[[str, str, dict[str, object]], None]


class Observer(Telemetry):
    """The telemetry of one incarnation of ``node``."""

    def __init__(self, engine: Engine, node: str, listen: Listener, counts: Counter[str]) -> None:
        super().__init__(
            wall=lambda: 0.0, log_level="off", metrics=system.METRICS, events=system.EVENTS
        )
        self._engine = engine
        self._node = node
        self._listen = listen
        self._counts = counts

    def count(self, metric: str, n: float = 1, **labels: str | int) -> None:
        """Count, and keep the sum over all nodes: ``metric`` and its labels' values."""
        super().count(metric, n, **labels)
        self._counts["/".join((metric, *map(str, labels.values())))] += int(n)

    def event(self, name: str, level: Level = "info", **fields: object) -> None:
        """Put the event into the trace and tell the listener."""
        self._engine.note("log", self._node, name, level)
        self._listen(self._node, name, fields)
