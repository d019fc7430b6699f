"""The cases that need no broker, as benchmarks: ``pytest tests/bench --benchmark-only``.

Elsewhere each runs once, small, as a test that every contender does its work. No time is asserted.
"""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bench.case import CASES, Case, Contender, Round, load_case
from bench.sample import Sample

OPERATIONS = 300
Benchmark = Callable[[Callable[[Round], Sample], Round], Sample]


def _contenders() -> list[object]:
    cases = [case for case in map(load_case, CASES) if case.micro]
    return [
        pytest.param(case, contender, id=f"{case.name}-{contender.name}")
        for case in cases
        for contender in case.contenders
    ]


@pytest.mark.parametrize(("case", "contender"), _contenders())
def test_a_contender_does_all_its_operations(
    case: Case, contender: Contender, benchmark: Benchmark, tmp_path: Path
) -> None:
    fresh = iter(range(10**6))

    def run(task: Round) -> Sample:
        folder = tmp_path / str(next(fresh))
        folder.mkdir()
        return contender.run(msgspec.structs.replace(task, folder=folder))

    task = Round(
        case=case.name,
        contender=contender.name,
        operations=OPERATIONS,
        folder=tmp_path,
        kept=tmp_path,
    )
    sample = benchmark(run, task)
    assert sample.operations == OPERATIONS
    assert sample.errors == 0
    assert sample.cpu_s > 0
