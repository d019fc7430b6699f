"""The settings and the telemetry of a command, from its global options."""

from collections.abc import Callable, Mapping
from pathlib import Path

from actors.cli import Options
from actors.settings import Settings
from actors.system import EVENTS, METRICS
from runtime.config import Loaded, load
from runtime.telemetry import Level, Telemetry

DEFAULT_FILE = Path("ordermill.toml")
# Variables with our prefix that are not settings.
OTHER_VARIABLES = (
    "ORDERMILL_CONFIG",
    "ORDERMILL_URL",
    "ORDERMILL_TOKEN",
    "ORDERMILL_REQUIRE_FAULTS",
    "ORDERMILL_REQUIRE_RABBITMQ",
)
FOREIGN_TABLES = ("sim", "bench")
_LEVELS: tuple[Level, ...] = ("debug", "info", "warning", "error")


def load_settings(
    options: Options,
    *,
    flags: Mapping[str, object] | None = None,
    defaults: Mapping[str, object] | None = None,
) -> Loaded[Settings]:
    """Return the settings: defaults, file, environment, ``--set``, then the command's own flags.

    ``flags`` of value None were not given.
    """
    given = [f"{key}={value}" for key, value in (flags or {}).items() if value is not None]
    return load(
        Settings,
        file=_file(options),
        environment=options.environment,
        overrides=[*options.overrides, *given],
        defaults=defaults,
        ignored=OTHER_VARIABLES,
        foreign_tables=FOREIGN_TABLES,
    )


def _file(options: Options) -> Path | None:
    if options.config is not None:
        return options.config
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None


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
