"""Results as one HTML page that needs no other file: tables, and the figures in it."""

import html
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.report import (
    Row,
    budget_table,
    case_table,
    figures_table,
    parts_table,
    rounds_of,
    targets_table,
)
from bench.results import CaseResult, Results
from bench.targets import Judged

_TABLES = {"budget": budget_table, "profile": parts_table}
_MARKS = {"met": ("good", "✓"), "NOT MET": ("bad", "✗"), "not measured": ("quiet", "?")}


def page(results: Results, judged: Sequence[Judged], figures: Sequence[Path]) -> str:
    """Return the page; ``figures`` are SVG files, each named after the case that it shows."""
    drawn = {path.stem: path.read_text() for path in figures}
    parts = [
        "<h1>ordermill: how fast</h1>",
        f'<p class="quiet">{html.escape(rounds_of(results))}</p>',
        "<h2>Targets</h2>",
        _table("Targets", targets_table(judged)),
    ]
    for name, case in results.cases.items():
        parts += _case(name, case, drawn)
    return _PAGE.format(style=_STYLE, body="\n".join(parts))


def _case(name: str, case: CaseResult, drawn: dict[str, str]) -> Iterator[str]:
    title = f"{name}: {case.title}"
    yield f"<h2>{html.escape(title)}</h2>"
    yield _table(title, _TABLES.get(name, case_table)(case))
    extra = figures_table(case)
    if name not in _TABLES and len(extra) > 1:
        yield _table(f"{title}, more figures", extra)
    for figure in (name, f"{name}-cpu", f"{name}-latency"):
        if figure in drawn:
            svg = drawn[figure]
            label = html.escape(f"Figure {figure}")
            yield (
                f'<figure role="region" aria-label="{label}" tabindex="0">'
                f"{svg[svg.index('<svg') :]}</figure>"
            )


def _table(label: str, rows: Sequence[Row]) -> str:
    head, *body = rows
    numbers = [all(_is_number(row[i]) for row in body) for i in range(len(head))]
    heads = "".join(
        f'<th scope="col"{_class(number)}>{html.escape(text)}</th>'
        if text
        else '<td aria-hidden="true"></td>'
        for text, number in zip(head, numbers, strict=True)
    )
    lines = "\n".join(f"<tr>{_cells(head, row, numbers)}</tr>" for row in body)
    return (
        f'<table><caption class="unseen">{html.escape(label)}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>\n{lines}\n</tbody></table>"
    )


def _cells(head: Row, row: Row, numbers: Sequence[bool]) -> str:
    return "".join(
        f'<td data-name="{html.escape(name)}"{_class(number)}>{_text(text)}</td>'
        for name, text, number in zip(head, row, numbers, strict=True)
    )


def _class(number: bool) -> str:
    return ' class="number"' if number else ""


def _text(text: str) -> str:
    if text not in _MARKS:
        return html.escape(text)
    tone, mark = _MARKS[text]
    return f'<b class="{tone}"><span aria-hidden="true">{mark}</span> {html.escape(text)}</b>'


def _is_number(text: str) -> bool:
    return not text.strip("0123456789.,%")


_STYLE = """\
:root {
  --paper: #ffffff; --panel: #f6f7f9; --ink: #1c2430; --quiet: #5b6577; --rule: #dfe3ea;
  --good: #1a7540; --bad: #b92626;
  color-scheme: light dark;
}
@media (prefers-color-scheme: dark) {
  :root {
    --paper: #14181f; --panel: #1b2129; --ink: #e6e9ef; --quiet: #98a2b3; --rule: #2f3843;
    --good: #55c384; --bad: #ff7b72;
  }
}
* { box-sizing: border-box; }
html { font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; }
body { margin: 0; background: var(--paper); color: var(--ink); }
main { max-width: 68rem; margin: 0 auto; padding: 2rem clamp(1rem, 4vw, 2rem) 4rem; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0; }
h2 { font-size: 1.1rem; line-height: 1.3; margin: 2.5rem 0 .75rem; }
p { margin: .5rem 0; }
.quiet { color: var(--quiet); } .good { color: var(--good); } .bad { color: var(--bad); }
b.good, b.bad, b.quiet { white-space: nowrap; }
.unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
table { position: relative; width: 100%; border-collapse: collapse; margin: .75rem 0;
  font-size: .9rem; }
th, td { padding: .4rem 1rem .4rem 0; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top; overflow-wrap: break-word; }
th { color: var(--quiet); font-weight: 600; }
.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
figure { margin: 1rem 0; padding: .75rem; overflow-x: auto; border: 1px solid var(--rule);
  border-radius: 8px; background: #ffffff; }
svg { display: block; width: 100%; min-width: 36rem; max-width: 48rem; height: auto;
  margin: 0 auto; }
@media (max-width: 48rem) {
  thead { display: none; }
  table, tbody, tr, td { display: block; }
  tr { padding: .6rem 0; border-bottom: 1px solid var(--rule); }
  td, td.number { padding: 0; border: 0; text-align: left; overflow-wrap: anywhere; }
  td:empty { display: none !important; }
  td:not([data-name=""], :first-child) { display: grid;
    grid-template-columns: 8rem minmax(0, 1fr); }
  td:not([data-name=""], :first-child)::before { content: attr(data-name);
    color: var(--quiet); }
  td:first-child { font-weight: 600; }
}
@media print {
  main { padding: 0; }
  figure { overflow: visible; }
  svg { min-width: 0; }
  figure, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
}"""

_PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>ordermill: how fast</title>
<style>
{style}
</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""
