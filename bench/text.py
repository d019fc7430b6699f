"""Results as text: at most 100 columns, plain ASCII."""

import textwrap
from collections.abc import Iterable, Sequence

from bench.results import CaseResult, Results, line_of
from bench.targets import Judged

WIDTH = 100


def _wrapped(line: str, indent: int) -> list[str]:
    return textwrap.wrap(line, WIDTH, subsequent_indent=" " * indent)


def case_lines(result: CaseResult) -> list[str]:
    """Return a case's figures, a block a contender."""
    lines = [result.title]
    for name, contender in result.contenders.items():
        lines += _wrapped(f"  {name}  [{contender.role}]  {contender.how}", 4)
        lines += _wrapped(f"    left after a crash: {contender.guarantees}", 6)
        for part in line_of(result.operation, contender.samples):
            lines += _wrapped(f"    {part}", 6)
    return lines


def target_lines(judged: Iterable[Judged]) -> list[str]:
    """Return the table of targets with what was measured."""
    lines = ["TARGETS  median of the rounds (least .. most)"]
    for row in judged:
        target = row.target
        kind = "must" if target.must else "aim"
        bound = f"{target.side} {target.bound:g}{target.unit}"
        lines.append(f"  {row.verdict:<12} {kind:<4} {target.what}")
        lines += _wrapped(f"{'':<20}{bound:<14} measured {row.figure()}", 35)
    return lines


def summary_lines(results: Results, judged: Sequence[Judged]) -> list[str]:
    """Return the machine, the verdict in a sentence."""
    failed = sum(row.failed for row in judged)
    rounds = [len(c.samples) for case in results.cases.values() for c in case.contenders.values()]
    return [
        *_wrapped(f"MACHINE  {results.machine.line()}", 9),
        f"ROUNDS   {min(rounds, default=0)}, commit {results.commit or 'unknown'}, {results.at}",
        f"{failed} of {sum(row.target.must for row in judged)} musts not met"
        if failed
        else "every must is met",
    ]
