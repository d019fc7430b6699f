"""The profile of simulated runs: what a sample counts for, and that a run is sampled."""

import json
import linecache
from types import CodeType, FunctionType
from typing import NamedTuple

import pamqp.frame
import pytest

from bench import simulated
from bench.simulated import (
    COLLECTOR,
    LIBRARIES,
    PRODUCT,
    SIMULATOR,
    STANDARD,
    called_at,
    group_of,
    profile,
)
from runtime.outbox import Relay
from sim import guard
from sim.blocked import at_rest
from sim.outcome import Task, Wishes
from sim.sqlite import InlineQueue


@pytest.mark.parametrize(
    ("function", "wanted"),
    [
        (at_rest, (SIMULATOR, "sim/blocked.py")),
        (InlineQueue._run, (SIMULATOR, "sim/sqlite.py")),
        (guard.at_rest, (COLLECTOR, COLLECTOR)),
        (Relay.run, (PRODUCT, "runtime/outbox.py")),
        (pamqp.frame.marshal, (LIBRARIES, "pamqp")),
        (json.dumps, (STANDARD, "python: json/__init__.py")),
        (NamedTuple("Generated", []).__new__, (STANDARD, "python: <string>")),
    ],
)
def test_a_function_counts_for_whom_its_file_belongs_to(
    function: FunctionType, wanted: tuple[str, str]
) -> None:
    assert group_of(function.__code__, 0) == wanted


@pytest.mark.parametrize(("code", "text", "group"), simulated._CALLS)
def test_a_call_of_c_code_counts_as_what_is_called_and_the_lines_around_it_do_not(
    code: CodeType, text: str, group: str
) -> None:
    lines = called_at(code)
    assert set(lines.values()) == {group}
    for line in lines:
        assert text in linecache.getline(code.co_filename, line)
        assert group_of(code, line) == (group, group)
    assert group_of(code, code.co_firstlineno)[0] == SIMULATOR


def test_a_run_is_sampled_and_every_sample_is_of_one_group() -> None:
    found = profile([Task("everything", 1, Wishes(orders=2))])
    assert len(found.runs_s) == 1
    assert found.samples > 5
    assert sum(found.groups.values()) == pytest.approx(sum(found.files.values()))
    assert sum(found.functions.values()) == pytest.approx(found.groups[SIMULATOR])
    head, *tables = found.lines()
    assert head.startswith("1 runs, CPU time of one: ")
    assert "| group | share |" in "\n".join(tables)
