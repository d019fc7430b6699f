"""``ordermill sim diff``: where two runs part."""

from collections.abc import Iterable
from pathlib import Path

import click

from sim.commands.options import CORPUS, OK, REPORT, VIOLATION, places
from sim.determinism import traced
from sim.find import Places, find
from sim.trace import Event
from sim.trace_files import first_difference, read_trace, show

CONTEXT = 5


@click.command()
@click.argument("one", metavar="A")
@click.argument("other", metavar="B")
@REPORT
@CORPUS
def diff(one: str, other: str, report: Path, corpus: Path) -> int:
    """Compare two runs event by event, and show the first difference from both sides.

    A and B are folders with a trace.jsonl, trace files, or runs (see `ordermill sim replay`), which
    are run now. Exits with 1 if they differ.
    """
    where = places(report, corpus)
    left, right = list(_events(one, where)), list(_events(other, where))
    found = first_difference(left, right)
    if found is None:
        click.echo(f"the same: {len(left)} events")
        return OK
    for event in left[max(0, found.step - 1 - CONTEXT) : found.step - 1]:
        click.echo(f"  both  {show(event)}")
    click.echo("\n".join(found.lines(_short(one), _short(other))))
    return VIOLATION


def _events(text: str, where: Places) -> Iterable[Event]:
    path = Path(text)
    for file in (path, path / "trace.jsonl"):
        if file.is_file() and file.suffix == ".jsonl":
            return read_trace(file)
    return traced(find(text, where).task)[1]


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"...{text[-37:]}"
