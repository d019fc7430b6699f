"""Results as text: at most 100 columns, plain ASCII."""

from collections.abc import Iterable, Sequence

from bench.results import CaseResult, Results, line_of
from bench.targets import Judged


def case_lines(result: CaseResult) -> list[str]:
    """Return a case's figures, a block a contender."""
    lines = [result.title]
    for name, contender in result.contenders.items():
        lines.append(f"  {name}  [{contender.role}]  {contender.how}")
        lines.append(f"    left after a crash: {contender.guarantees}")
        lines += [f"    {part}" for part in line_of(result.operation, contender.samples)]
    return lines


def target_lines(judged: Iterable[Judged]) -> list[str]:
    """Return the table of targets with what was measured."""
    lines = ["TARGETS  median of the rounds (least .. most)"]
    for row in judged:
        target = row.target
        kind = "must" if target.must else "aim"
        bound = f"{target.side} {target.bound:g}{target.unit}"
        lines.append(f"  {row.verdict:<12} {kind:<4} {target.what}")
        lines.append(f"{'':<20}{bound:<14} measured {row.figure()}")
    return lines


def summary_lines(results: Results, judged: Sequence[Judged]) -> list[str]:
    """Return the machine, the verdict in a sentence."""
    failed = sum(row.failed for row in judged)
    rounds = [len(c.samples) for case in results.cases.values() for c in case.contenders.values()]
    return [
        f"MACHINE  {results.machine.line()}",
        f"{min(rounds, default=0)} rounds, commit {results.commit or 'unknown'}, {results.at}",
        f"{failed} of {sum(row.target.must for row in judged)} musts not met"
        if failed
        else "every must is met",
    ]
