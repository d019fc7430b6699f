"""The index of runs: scenarios by seeds as a grid, and every report there is.

Green passed, red failed, yellow is not finished: it was to be run, or its report is incomplete.
"""

from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
from jinja2 import Environment, StrictUndefined, Template

from sim.console import hours
from sim.report.files import REPLAY, read_plan, read_report
from sim.report.sweep_file import SweepFile, read_sweep
from sim.sweep import Row
from sim.token import Token, seed_text

CELLS_MAX = 3000


class Cell(msgspec.Struct, frozen=True):
    """One run in the grid. ``title`` is shown on hover, ``link`` is empty without a report."""

    state: str
    title: str
    link: str
    property: str


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One scenario of the grid."""

    scenario: str
    passed: int
    failed: int
    cells: list[Cell]
    folded: int


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One report."""

    folder: str
    state: str
    scenario: str
    seed: str
    properties: tuple[str, ...]
    size: str
    virtual_s: float
    replay: str


def write_index(folder: Path) -> Path:
    """Write ``index.html`` into the reports' folder; return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = list(_entries(folder))
    sweep = read_sweep(folder)
    properties = sorted({name for one in entries for name in one.properties})
    context: dict[str, Any] = {
        "sweep": sweep,
        "lines": [] if sweep is None else list(_lines(sweep, {one.folder for one in entries})),
        "failed": 0 if sweep is None else sum(bool(row.violation) for row in sweep.rows),
        "virtual": "" if sweep is None else hours(sweep.virtual_s),
        "unfinished": 0 if sweep is None else max(0, sweep.planned - len(sweep.rows)),
        "entries": entries,
        "properties": properties,
        "css": _asset("palette.css") + _asset("style.css") + _asset("index.css"),
    }
    path = folder / "index.html"
    path.write_text(_template().render(context), encoding="utf-8")
    return path


def _entries(folder: Path) -> Iterator[Entry]:
    for plan_file in sorted(folder.glob("*/plan.json")):
        run = plan_file.parent
        plan, report = read_plan(run), read_report(run)
        finished = report is not None and (run / "report.html").is_file()
        yield Entry(
            folder=run.name,
            state="unfinished" if not finished or report is None else report.verdict,
            scenario=plan.scenario,
            seed=seed_text(plan.seed),
            properties=()
            if report is None
            else tuple(dict.fromkeys(one.name for one in report.violations)),
            size=f"{len(plan.orders)} orders, {len(plan.faults)} faults",
            virtual_s=0.0 if report is None else report.virtual_s,
            replay=f"{REPLAY} {run}",
        )


def _lines(sweep: SweepFile, folders: set[str]) -> Iterator[Line]:
    scenarios: dict[str, list[Row]] = {}
    for row in sweep.rows:
        scenarios.setdefault(row.scenario, []).append(row)
    room = max(1, CELLS_MAX // max(1, len(scenarios)))
    for scenario, rows in scenarios.items():
        # Failures are never folded away.
        shown = [row for number, row in enumerate(rows) if number < room or row.violation]
        yield Line(
            scenario=scenario,
            passed=sum(not row.violation for row in rows),
            failed=sum(bool(row.violation) for row in rows),
            cells=[_cell(row, folders) for row in shown],
            folded=len(rows) - len(shown),
        )


def _cell(row: Row, folders: set[str]) -> Cell:
    token = Token(row.scenario, row.seed)
    folder = f"{row.scenario}-{seed_text(row.seed)}"
    name = row.corpus or str(token)
    told = row.violation or "passed"
    return Cell(
        state="failed" if row.violation else "passed",
        title=f"{name}  {told}  {row.virtual_s:.0f}s virtual, {row.cpu_s:.2f}s CPU",
        link=f"{folder}/report.html" if folder in folders else "",
        property=row.violation,
    )


def _asset(name: str) -> str:
    return (files("sim.report") / name).read_text()


@cache
def _template() -> Template:
    made = Environment(autoescape=True, undefined=StrictUndefined)
    return made.from_string(_asset("index.html.j2"))
