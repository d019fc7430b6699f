"""Results for people: tables, and those of the README in Markdown."""

from collections.abc import Iterable, Sequence

from bench.budget import budget, budgets
from bench.results import CaseResult, Results
from bench.sample import figures, spread
from bench.targets import Judged, number

BEGIN = "<!-- bench: `ordermill bench report --readme README.md` writes this -->"
END = "<!-- end of bench -->"
NOT_YET = "Nothing is checked in yet: `make bench` measures, and writes the table here."

Row = Sequence[str]


def targets_table(judged: Iterable[Judged]) -> list[Row]:
    """Return the targets with what was measured, a header first."""
    rows: list[Row] = [("what", "", "target", "measured (least .. most)", "")]
    for row in judged:
        target = row.target
        bound = f"{target.side} {target.bound:g}{target.unit}"
        must = "must" if target.must else "aim"
        rows.append((target.what, must, bound, row.figure(), row.verdict))
    return rows


def case_table(case: CaseResult) -> list[Row]:
    """Return a case's contenders, a header first."""
    rows: list[Row] = [
        ("who", f"{case.operation}s/s", "CPU us", "p50 ms", "p99 ms", "peak MiB", "left by a crash")
    ]
    for name, contender in case.contenders.items():
        samples = contender.samples
        timed = samples[0].latency is not None
        cells = [
            number(spread(samples, metric).median) if timed or metric[0] != "p" else ""
            for metric in ("rate", "cpu_us", "p50", "p99")
        ]
        memory = f"{spread(samples, 'memory_mib').median:.0f}"
        rows.append((f"{name}: {contender.how}", *cells, memory, contender.guarantees))
    return rows


def budget_table(case: CaseResult) -> list[Row]:
    """Return the CPU budget of one order, a header first."""
    (contender,) = case.contenders.values()
    found = budget(contender.samples)
    rows: list[Row] = [("stage", "us an order", "share")]
    rows += [(stage, number(us), f"{share:.0%}") for stage, us, share in found]
    total = sum(us for _, us, _ in found)
    return [*rows, ("all", number(total), "100%")]


def parts_table(case: CaseResult) -> list[Row]:
    """Return the CPU budgets of the parts side by side, in us an operation, a header first."""
    found = budgets(case)
    stages = {stage: None for one in found.values() for stage in one}
    dearest = sorted(stages, key=lambda stage: -sum(one.get(stage, 0.0) for one in found.values()))
    rows: list[Row] = [("stage", *found)]
    rows += [
        (stage, *(number(one[stage]) if stage in one else "" for one in found.values()))
        for stage in dearest
    ]
    return [*rows, ("all", *(number(sum(one.values())) for one in found.values()))]


def figures_table(case: CaseResult) -> list[Row]:
    """Return what only some cases measure, a header first; the header alone if there is nothing."""
    rows: list[Row] = [("who", "figure", "median (least .. most)")]
    for name, contender in case.contenders.items():
        for figure, found in figures(contender.samples).items():
            around = f"{number(found.median)} ({number(found.low)} .. {number(found.high)})"
            rows.append((name, figure, around))
    return rows


def rounds_of(results: Results) -> str:
    """Say on what, when and how often was measured."""
    counts = [len(c.samples) for case in results.cases.values() for c in case.contenders.values()]
    fewest, most = min(counts, default=0), max(counts, default=0)
    times = f"{fewest}" if fewest == most else f"{fewest} to {most}"
    return (
        f"Medians of {times} rounds in turns, {results.at}, commit {results.commit or 'unknown'}: "
        f"{results.machine.line()}."
    )


def markdown(results: Results, judged: Sequence[Judged]) -> str:
    """Return the table of targets and the budget, as the README shows them."""
    parts = [_markdown_table(targets_table(judged)), rounds_of(results)]
    if "budget" in results.cases:
        parts.append("Where the CPU time of one order goes (64 open, sampled):")
        parts.append(_markdown_table(budget_table(results.cases["budget"])))
    if "profile" in results.cases:
        parts.append("Where that of the parts goes (us an operation, sampled):")
        parts.append(_markdown_table(parts_table(results.cases["profile"])))
    return "\n\n".join(parts)


def _markdown_table(rows: Sequence[Row]) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def with_table(readme: str, table: str) -> str:
    """Return the README with the generated part replaced; ValueError where it has no place."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the file has no part between {BEGIN} and {END}")
    return f"{before}{begin}\n{table}\n{end}{after}"
