"""The telemetry of a command that runs services, from its global options."""

from collections.abc import Callable

from actors.cli import Options
from actors.settings import Settings
from actors.system import EVENTS, METRICS
from runtime.telemetry import Level, Telemetry

_LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


def telemetry_for(settings: Settings, options: Options, wall: Callable[[], float]) -> Telemetry:
    """Return the process's telemetry; ``-v`` and ``-q`` move the configured log level."""
    level = _LEVELS.index(settings.log.level) - options.verbosity
    telemetry = Telemetry(
        wall=wall,
        log_level=_LEVELS[min(max(level, 0), len(_LEVELS) - 1)],
        log_format=options.log_format or settings.log.format,
        metrics=METRICS,
        events=EVENTS,
    )
    telemetry.adopt_library_logs()
    return telemetry
