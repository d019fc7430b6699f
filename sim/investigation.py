"""From a failing outcome to something that a person can read: shrunk, recorded, written down."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from sim.batch import Lost, Pool
from sim.outcome import Outcome, Task
from sim.provenance import Provenance
from sim.report.files import folder_name, write_run
from sim.report.recording import record
from sim.report.result import Before, Report, ShrunkFrom
from sim.shrink import NotFailing, Shrinker, Shrunk
from sim.token import Token

Tell = Callable[[str], None]
RECORD_S = 300.0


class Wanted(msgspec.Struct, frozen=True):
    """A run to be recorded into a folder; ``before`` is how it went until now."""

    task: Task
    folder: str
    provenance: Provenance
    before: Before | None = None
    shrunk: ShrunkFrom | None = None


class Case(msgspec.Struct, frozen=True):
    """A failure and what is known of it. ``report`` is None if the run could not be recorded."""

    outcome: Outcome
    task: Task
    folder: Path
    report: Report | None
    shrunk: Shrunk | None


def write(wanted: Wanted) -> Report:
    """Run and record: what a worker does."""
    recorded = record(wanted.task)
    folder = Path(wanted.folder)
    return write_run(folder, wanted.task, recorded, wanted.provenance, wanted.shrunk, wanted.before)


def recorded(wanted: Wanted) -> Report | None:
    """Record a run in a process of its own; None if it gives no result there."""
    with Pool(write, (Wanted, Report), jobs=1, hang_s=RECORD_S) as pool:
        [(_, report)] = list(pool.map([wanted]))
    return None if isinstance(report, Lost) else report


def investigate(
    task: Task,
    outcome: Outcome,
    violation: str,
    reports: Path,
    provenance: Provenance,
    *,
    shrink_s: float,
    jobs: int = 0,
    tell: Tell = lambda _: None,
) -> Case:
    """Shrink a failing run (for ``shrink_s`` at most; 0: not), and write its report.

    ``violation`` is the name of the one that is to be kept.
    """
    shrunk = None
    if shrink_s > 0:
        shrinker = Shrinker(task, violation, budget_s=shrink_s, jobs=jobs, tell=tell)
        try:
            shrunk = shrinker.run()
        except NotFailing:
            tell("it does not fail again: see the determinism gate")
    before = task.planned()
    folder = reports / folder_name(Token(task.scenario, task.seed))
    if shrunk is None:
        wanted = Wanted(task, str(folder), provenance, _before(outcome))
        return Case(outcome, task, folder, recorded(wanted), None)
    origin = ShrunkFrom(
        token=str(Token(task.scenario, task.seed, before.digest())),
        faults=len(before.faults),
        orders=len(before.orders),
        runs=shrunk.runs,
        seconds=round(shrunk.seconds, 1),
    )
    small = msgspec.structs.replace(task, seed=shrunk.plan.seed, plan=shrunk.plan)
    report = recorded(Wanted(small, str(folder), provenance, _before(shrunk.outcome), origin))
    return Case(outcome, small, folder, report, shrunk)


def _before(outcome: Outcome) -> Before | None:
    return Before(outcome.digest) if outcome.digest else None
