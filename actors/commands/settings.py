"""The settings of a command, from its global options.

The law: no service is imported here. A command that only asks or tells a running system starts in a
third of the time that it takes to load one.
"""

from collections.abc import Mapping
from pathlib import Path

from actors.cli import Options
from actors.settings import Settings
from runtime.config import Loaded, load

DEFAULT_FILE = Path("ordermill.toml")
# Variables with our prefix that are not settings.
OTHER_VARIABLES = (
    "ORDERMILL_CONFIG",
    "ORDERMILL_URL",
    "ORDERMILL_TOKEN",
    "ORDERMILL_REQUIRE_BROWSER",
    "ORDERMILL_REQUIRE_FAULTS",
    "ORDERMILL_REQUIRE_RABBITMQ",
)
FOREIGN_TABLES = ("sim", "bench")


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
        file=settings_file(options),
        environment=options.environment,
        overrides=[*options.overrides, *given],
        defaults=defaults,
        ignored=OTHER_VARIABLES,
        foreign_tables=FOREIGN_TABLES,
    )


def settings_file(options: Options) -> Path | None:
    """Return the file that is named, or else the folder's own if it is there."""
    if options.config is not None:
        return options.config
    return DEFAULT_FILE if DEFAULT_FILE.exists() else None
