"""The CPU budget's table knows the code that it names."""

import sys
from pathlib import Path
from types import FrameType

import pytest

from bench.stages import LOOP, ROWS, stage_of
from runtime.telemetry import Telemetry

ROOT = Path(__file__).parents[2]
OURS = [row for row in ROWS if row[1].startswith(("/runtime/", "/actors/"))]


@pytest.mark.parametrize(("stage", "part", "functions"), OURS)
def test_a_row_names_files_and_functions_that_exist(
    stage: str, part: str, functions: tuple[str, ...]
) -> None:
    found = [path for path in ROOT.glob("[ra]*/**/*.py") if part in str(path)]
    assert found, f"{stage}: no file has {part} in its path"
    text = "\n".join(path.read_text() for path in found)
    assert [name for name in functions if f"def {name}(" not in text] == []


def test_a_stack_counts_for_the_innermost_stage_it_meets() -> None:
    seen: list[str] = []

    class Spy(str):
        __slots__ = ()

        def __hash__(self) -> int:
            frame: FrameType | None = sys._getframe()
            seen.append(stage_of(frame))
            return super().__hash__()

    Telemetry(wall=lambda: 0.0, log_level="off").count(Spy("events_appended_total"), type="t")
    assert seen[0] == "telemetry"


def test_a_stack_that_no_row_knows_is_the_loop_s() -> None:
    assert stage_of(sys._getframe()) == LOOP
