"""What each process says of itself, without the cost of writing it down.

The product's telemetry is an object that it is given. This one puts every event's name
into the trace, and lets probes listen; a line is made of it only where somebody reads lines.
"""

from collections.abc import Callable

import msgspec

from actors import system
from runtime.telemetry import Level, Telemetry
from sim.engine import Engine
from sim.seed import EPOCH_S

Listener = Callable[[str, str, dict[str, object]], None]


class Log(msgspec.Struct, frozen=True):
    """Where finished log lines go, if somebody wants to read them: ``write(node, line)``."""

    write: Callable[[str, str], None]
    level: Level = "debug"


class Observer(Telemetry):
    """The telemetry of one incarnation of ``node``."""

    def __init__(self, engine: Engine, node: str, listen: Listener, log: Log | None) -> None:
        super().__init__(
            wall=lambda: EPOCH_S + engine.now,
            log_level="off" if log is None else log.level,
            log_format="json",
            write=lambda line: None if log is None else log.write(node, line),
            metrics=system.METRICS,
            events=system.EVENTS,
        )
        self._engine = engine
        self._node = node
        self._listen = listen

    def event(self, name: str, level: Level = "info", **fields: object) -> None:
        """Put the event into the trace and tell the listener."""
        self._engine.note("log", self._node, name, level)
        self._listen(self._node, name, fields)
        super().event(name, level, **fields)
