"""The CPU budget of one order: its stages, the dearest first."""

from bench.results import CaseResult

PREFIX = "us: "
"""Of the figures that are a stage's microseconds an order."""


def budget(case: CaseResult) -> list[tuple[str, float, float]]:
    """Return stage, microseconds an order and share of all, the dearest first."""
    (contender,) = case.contenders.values()
    stages = sorted({name for one in contender.samples for name in one.figures})
    rounds = len(contender.samples)
    # A stage that one round never met has cost nothing in it.
    found = [
        (stage, sum(one.figures.get(stage, 0.0) for one in contender.samples) / rounds)
        for stage in stages
    ]
    total = sum(us for _, us in found)
    rows = [(stage.removeprefix(PREFIX), us, us / total) for stage, us in found]
    return sorted(rows, key=lambda row: -row[1])
