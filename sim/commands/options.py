"""Options that the simulator's commands share, and the exit codes of their endings."""

import re
from pathlib import Path
from typing import Any, TypeVar

import click

from runtime.errors import ConfigurationError
from sim.corpus import FOLDER
from sim.find import Places
from sim.report.files import REPORTS
from sim.scenarios import SCENARIOS

F = TypeVar("F", bound=Any)
_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(?P<figure>\d+(\.\d*)?|\.\d+)\s*(?P<unit>[a-z]*)")
OK, VIOLATION, DIVERGED = 0, 1, 4


class Duration(click.ParamType[float]):
    """A time of more than 0, in seconds: 90, 90s, 1.5m, 1h."""

    name = "duration"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        found = _DURATION.fullmatch(str(value).strip())
        unit = found and _UNITS_S.get(found["unit"] or "s")
        if found is None or unit is None:
            self.fail(f"{value!r} is no duration: expected 90s, 1.5m or 1h", param, ctx)
        seconds = float(found["figure"]) * unit
        if not seconds:
            self.fail("it must be more than 0", param, ctx)
        return seconds


class Jobs(click.ParamType[int]):
    """A number of worker processes; ``auto`` (0) is one a core."""

    name = "jobs"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        if value in ("auto", 0):
            return 0
        if not str(value).isdecimal() or int(value) == 0:
            self.fail(f"{value!r} is no number of jobs: expected auto, or 1 and more", param, ctx)
        return int(value)


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
JOBS = click.option(
    "--jobs", type=Jobs(), default="auto", show_default=True, help="Worker processes."
)


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
