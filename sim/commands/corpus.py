"""``ordermill sim corpus``: plans that once failed, kept to be run for ever."""

from pathlib import Path

import click
import msgspec

from sim.commands.options import CORPUS, FORMAT, OK, REPORT, places
from sim.corpus import Entry, add, read_corpus, today
from sim.find import find
from sim.report.files import REPLAY
from sim.simpler import size_of
from sim.token import seed_text


@click.group()
def corpus() -> None:
    """Keep past failures, which every sweep runs first."""


@corpus.command("add")
@click.argument("run", metavar="TOKEN")
@click.option("--why", required=True, help="What it showed, in a sentence.")
@click.option("--fixed-in", default="", help="The commit that cured it.")
@click.option("--name", help="The file's name (by default from the run).")
@REPORT
@CORPUS
def add_(run: str, why: str, fixed_in: str, name: str | None, report: Path, corpus: Path) -> int:
    """Store a run's plan with why it is kept.

    TOKEN is what `ordermill sim replay` takes; the folder of a shrunk run is best.
    """
    found = find(run, places(report, corpus))
    plan = found.task.planned()
    violations = () if found.report is None else found.report.violations
    entry = Entry(
        why=why,
        violation=violations[0].name if violations else "",
        found=today(),
        fixed_in=fixed_in,
        plan=plan,
    )
    path = add(corpus, name or f"{plan.scenario}-{seed_text(plan.seed)}", entry)
    click.echo(f"{path}   {REPLAY} {path.stem}")
    return OK


@corpus.command("list")
@CORPUS
@FORMAT
def list_(corpus: Path, format_: str) -> int:
    """List what is kept, and why."""
    entries = read_corpus(corpus)
    if format_ == "json":
        data = {"schema": "ordermill.sim.corpus/v1", "entries": entries}
        click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2).decode())
        return OK
    for name, entry in entries.items():
        faults, orders, _ = size_of(entry.plan)
        cure = f", fixed in {entry.fixed_in}" if entry.fixed_in else ""
        click.echo(f"{name}  {entry.violation}  {faults} faults, {orders} orders")
        click.echo(f"  {entry.why} (found {entry.found}{cure})")
    click.echo(f"{len(entries)} plans in {corpus}")
    return OK
