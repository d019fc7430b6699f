"""Results for people: a table in Markdown, and one HTML page that needs no other file."""

import html
from collections.abc import Iterable, Sequence
from pathlib import Path

from bench.budget import budget
from bench.results import CaseResult, Results
from bench.sample import spread
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
    rows: list[Row] = [("stage", "us an order", "share")]
    rows += [(stage, number(us), f"{share:.0%}") for stage, us, share in budget(case)]
    total = sum(us for _, us, _ in budget(case))
    return [*rows, ("all", number(total), "100%")]


def figures_table(case: CaseResult) -> list[Row]:
    """Return what only some cases measure, a header first; the header alone if there is nothing."""
    rows: list[Row] = [("who", "figure", "median (least .. most)")]
    for name, contender in case.contenders.items():
        for figure in contender.samples[0].figures:
            found = spread(contender.samples, figure)
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


def page(results: Results, judged: Sequence[Judged], figures: Sequence[Path]) -> str:
    """Return the HTML page, with the figures in it."""
    drawn = {path.stem: path.read_text() for path in figures}
    parts = [
        "<h1>ordermill: how fast</h1>",
        f"<p>{html.escape(rounds_of(results))}</p>",
        "<h2>Targets</h2>",
        _html_table(targets_table(judged)),
    ]
    for name, case in results.cases.items():
        parts.append(f"<h2>{html.escape(name)}: {html.escape(case.title)}</h2>")
        parts.append(_html_table(budget_table(case) if name == "budget" else case_table(case)))
        extra = figures_table(case)
        if name != "budget" and len(extra) > 1:
            parts.append(_html_table(extra))
        wanted = (name, f"{name}-cpu", f"{name}-latency")
        parts += [_inline(drawn[figure]) for figure in wanted if figure in drawn]
    return _PAGE.format(body="\n".join(parts))


def _html_table(rows: Sequence[Row]) -> str:
    def line(row: Row, cell: str) -> str:
        return "".join(f"<{cell}>{html.escape(text)}</{cell}>" for text in row)

    head, *body = rows
    lines = "\n".join(f"<tr>{line(row, 'td')}</tr>" for row in body)
    return f"<table><thead><tr>{line(head, 'th')}</tr></thead><tbody>\n{lines}\n</tbody></table>"


def _inline(svg: str) -> str:
    return svg[svg.index("<svg") :]


_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>ordermill: how fast</title>
<style>
body {{ font: 15px/1.45 system-ui, sans-serif; max-width: 62rem;
  margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0; font-size: 13px }}
td, th {{ border-bottom: 1px solid #ddd; padding: .3rem .6rem; text-align: left }}
svg {{ max-width: 100%; height: auto }}
</style>
{body}
</html>
"""
