"""The CPU budget of an operation: its stages, the dearest first."""

from collections.abc import Sequence

from bench.results import CaseResult
from bench.sample import Sample

PREFIX = "us: "
"""Of the figures that are a stage's microseconds an operation."""


def budget(samples: Sequence[Sample]) -> list[tuple[str, float, float]]:
    """Return stage, microseconds an operation and share of all, the dearest first."""
    stages = sorted({name for one in samples for name in one.figures})
    # A stage that one round never met has cost nothing in it.
    found = [
        (stage, sum(one.figures.get(stage, 0.0) for one in samples) / len(samples))
        for stage in stages
    ]
    total = sum(us for _, us in found)
    rows = [(stage.removeprefix(PREFIX), us, us / total) for stage, us in found]
    return sorted(rows, key=lambda row: -row[1])


def budgets(case: CaseResult) -> dict[str, dict[str, float]]:
    """Return the microseconds an operation by stage, of each contender."""
    return {
        name: {stage: us for stage, us, _ in budget(contender.samples)}
        for name, contender in case.contenders.items()
    }
