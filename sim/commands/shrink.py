"""``ordermill sim shrink``: a failing run made small, while it fails in the same way."""

from pathlib import Path

import click

from sim.batch import Lost, Pool
from sim.commands.options import CORPUS, JOBS, OK, REPORT, VIOLATION, Duration, places
from sim.commands.summary import case_lines
from sim.find import find
from sim.investigation import investigate
from sim.outcome import Outcome, Task, lost, perform
from sim.provenance import provenance
from sim.report.files import REPLAY
from sim.shrink import BUDGET_S


@click.command()
@click.argument("run", metavar="TOKEN")
@click.option("--budget", type=Duration(), default=BUDGET_S, help="When to leave it (60s).")
@click.option("--violation", help="Its name; by default the one that says most.")
@JOBS
@REPORT
@CORPUS
def shrink(
    run: str, budget: float, violation: str | None, jobs: int, report: Path, corpus: Path
) -> int:
    """Make a failing run small: fewer faults, orders and acts, rounder times.

    TOKEN is what `ordermill sim replay` takes. The small run is written to the run's folder.
    Exits with 1 if the run does not fail.
    """
    found = find(run, places(report, corpus))
    click.echo(f"replay   {REPLAY} {found.token}")
    outcome = _outcome(found.task)
    names = [one.name for one in outcome.violations]
    if not names or (violation is not None and violation not in names):
        said = ", ".join(names) or "no violation"
        click.echo(f"nothing to shrink: the run shows {said}")
        return VIOLATION
    case = investigate(
        found.task,
        outcome,
        violation or names[0],
        report,
        provenance(),
        shrink_s=budget,
        jobs=jobs,
        tell=lambda line: click.echo(line, err=True),
    )
    click.echo("\n".join(case_lines(case)))
    return OK


def _outcome(task: Task) -> Outcome:
    """Run it in a process of its own, because it may hang or die."""
    with Pool(perform, (Task, Outcome), jobs=1) as pool:
        [(_, result)] = list(pool.map([task]))
    return lost(task, result) if isinstance(result, Lost) else result
