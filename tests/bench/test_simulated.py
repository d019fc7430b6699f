"""The profile of simulated runs: what a sample counts for, and that a run is sampled."""

import json
import sqlite3
from pathlib import Path

import msgspec
import pytest

from bench import simulated
from bench.simulated import (
    COLLECTOR,
    LIBRARIES,
    PRODUCT,
    SIMULATOR,
    SQLITE,
    STANDARD,
    group_of,
    profile,
)
from sim.outcome import Task, Wishes

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("file", "function", "wanted"),
    [
        (str(ROOT / "sim/judges/rest.py"), "at_rest", (SIMULATOR, "sim/judges/rest.py")),
        (str(ROOT / "sim/sqlite.py"), "SimConnection.execute", (SQLITE, SQLITE)),
        (str(ROOT / "sim/sqlite.py"), "InlineQueue._run", (SIMULATOR, "sim/sqlite.py")),
        (str(ROOT / "sim/guard.py"), "at_rest", (COLLECTOR, COLLECTOR)),
        (str(ROOT / "runtime/outbox.py"), "Relay._look", (PRODUCT, "runtime/outbox.py")),
        (msgspec.__file__, "structs", (LIBRARIES, "msgspec")),
        (json.__file__, "dumps", (STANDARD, "python: json/__init__.py")),
        (sqlite3.__file__, "connect", (STANDARD, "python: sqlite3/__init__.py")),
        ("<string>", "__init__", (STANDARD, "python: <string>")),
    ],
)
def test_a_function_counts_for_whom_its_file_belongs_to(
    file: str, function: str, wanted: tuple[str, str]
) -> None:
    assert group_of(file, function) == wanted


@pytest.mark.parametrize(("file", "function"), simulated._SPECIAL)
def test_the_functions_that_count_for_c_code_exist(file: str, function: str) -> None:
    assert f"def {function.rpartition('.')[2]}(" in (ROOT / file).read_text()


def test_a_run_is_sampled_and_every_sample_is_of_one_group() -> None:
    found = profile([Task("everything", 1, Wishes(orders=2))])
    assert len(found.runs_s) == 1
    assert found.samples > 5
    assert sum(found.groups.values()) == pytest.approx(sum(found.files.values()))
    assert sum(found.functions.values()) == pytest.approx(found.groups[SIMULATOR])
    head, *tables = found.lines()
    assert head.startswith("1 runs, CPU time of one: ")
    assert "| group | share |" in "\n".join(tables)
