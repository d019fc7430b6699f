"""Options that the simulator's commands share, and the exit codes of their endings."""

from pathlib import Path
from typing import Any, TypeVar

import click

from runtime.errors import ConfigurationError
from sim.corpus import FOLDER
from sim.find import Places
from sim.report.files import REPORTS
from sim.scenarios import SCENARIOS

F = TypeVar("F", bound=Any)
OK, VIOLATION, DIVERGED = 0, 1, 4

REPORT = click.option(
    "--report",
    type=click.Path(path_type=Path, file_okay=False),
    default=REPORTS,
    show_default=True,
    help="Where the folders of runs are.",
)
CORPUS = click.option(
    "--corpus",
    type=click.Path(path_type=Path, file_okay=False),
    default=FOLDER,
    show_default=True,
    help="Past failures; they run first.",
)
FORMAT = click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
JOBS = click.option("--jobs", type=click.IntRange(1), help="Worker processes (all cores).")


def known_scenarios(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return these scenarios, all if none is named; `ConfigurationError` for one there is not."""
    for name in names:
        if name not in SCENARIOS:
            raise ConfigurationError(
                f"there is no scenario {name}", hint=f"one of {', '.join(SCENARIOS)}"
            )
    return names or tuple(SCENARIOS)


def places(report: Path, corpus: Path) -> Places:
    """Return where runs are looked for."""
    return Places(report, corpus)
