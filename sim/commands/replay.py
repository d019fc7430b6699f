"""``ordermill sim replay``: one run again, compared with what was recorded, told as a story."""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import msgspec

from runtime.errors import ConfigurationError
from sim.commands.options import CORPUS, DIVERGED, OK, REPORT, VIOLATION, places
from sim.commands.serving import serve_folder
from sim.commands.stopping import Breakpoint, stopped
from sim.find import Found, find
from sim.provenance import provenance
from sim.report.files import REPLAY, folder_name, write_run
from sim.report.recording import Recorded, record
from sim.report.result import Before, Report
from sim.report.story import story_of, text_lines
from sim.run import Violation
from sim.token import Token
from sim.trace_files import Divergence, first_difference, read_trace, show

LAST = 40
TEXTS = 3


@click.command()
@click.argument("run", metavar="TOKEN")
@click.option("--until", type=click.IntRange(1), metavar="STEP", help="Stop at this trace step.")
@click.option("--break-on", metavar="EVENT", help="Stop (pdb on a terminal) at such an event.")
@click.option("--log", "log_", type=click.Choice(["full", "short"]), default="short")
@click.option("--serve", is_flag=True, help="Then serve the report on 127.0.0.1.")
@click.option(
    "--ignore-version", is_flag=True, help="Other code or libraries are no reason to warn."
)
@click.option("--anew", is_flag=True, help="Do not compare: replace what was recorded.")
@REPORT
@CORPUS
def replay(
    run: str,
    until: int | None,
    break_on: str | None,
    log_: str,
    serve: bool,
    ignore_version: bool,
    anew: bool,
    report: Path,
    corpus: Path,
) -> int:
    """Run a run again, and say whether it went as it was recorded.

    TOKEN is SCENARIO:SEED, SCENARIO:SEED:PLAN-HASH, the folder of a run, a file with a plan, or a
    name of the corpus. Exits with 1 if something is violated, with 4 if it went another way.
    """
    found = find(run, places(report, corpus))
    click.echo(f"replay   {REPLAY} {found.folder or found.token}")
    if not ignore_version:
        _warn(found)
    if until is not None or break_on is not None:
        return _stop_at(found, Breakpoint(until or 0, break_on or ""))
    recorded = record(found.task)
    divergence = None if anew else _divergence(found, recorded)
    folder = found.folder or report / folder_name(Token(found.task.scenario, found.task.seed))
    if divergence is None:
        before = found.report
        shrunk = None if before is None else before.shrunk
        made = write_run(
            folder, found.task, recorded, provenance(), shrunk, None if anew else _before(before)
        )
        _tell(recorded, made, folder, full=log_ == "full")
    else:
        click.echo("\n".join(divergence.lines("recorded", "now")))
        click.echo("hint: --anew replaces what was recorded, if other code is the reason", err=True)
    if serve:
        serve_folder(folder, "report.html")
    if divergence is not None:
        return DIVERGED
    return OK if recorded.result.passed else VIOLATION


def _before(report: Report | None) -> Before | None:
    return None if report is None else Before(report.digest, report.identical)


def _warn(found: Found) -> None:
    """Say what is not as it was when the run was recorded."""
    if found.report is None:
        return
    differences = found.report.provenance.differences(provenance())
    if differences:
        click.echo(f"warning: recorded with {found.report.provenance.line()}", err=True)
        click.echo(f"  here: {', '.join(differences)}", err=True)


def _divergence(found: Found, recorded: Recorded) -> Divergence | None:
    """Compare with the recorded trace, if there is one."""
    path = None if found.folder is None else found.folder / "trace.jsonl"
    if path is None or not path.is_file():
        return None
    try:
        return first_difference(read_trace(path), recorded.events)
    except msgspec.MsgspecError as error:
        raise ConfigurationError(
            f"{path}: {error}", hint="remove the file: the run is recorded anew"
        ) from error


def _tell(recorded: Recorded, made: Report, folder: Path, *, full: bool) -> None:
    click.echo("\n".join(_lines(recorded, made, full=full)))
    click.echo(f"report   {folder / 'report.html'}")
    click.echo(f"replay   {REPLAY} {made.token}")


def _lines(recorded: Recorded, made: Report, *, full: bool) -> Iterator[str]:
    scene = recorded.scene
    if full:
        yield from recorded.log
    yield from violation_lines(made.violations)
    if scene.focus_order:
        yield f"story of order o{scene.focus_order}"
        yield from text_lines(story_of(scene, scene.focus_order))
    word = "passed" if made.passed else "failed"
    yield (
        f"{word}   {len(recorded.events)} events, {made.steps} scheduler steps, "
        f"{made.virtual_s:.3f}s virtual, trace {made.digest}, {made.repeated}"
    )


def violation_lines(violations: Sequence[Violation]) -> Iterator[str]:
    """Yield each broken property once, with the first things that broke it."""
    names = dict.fromkeys(found.name for found in violations)
    for name in names:
        found = [one for one in violations if one.name == name]
        first = found[0]
        at = f"  step {first.step}, t=+{first.at:.3f}s" if first.step else ""
        yield f"FAIL {name} ({first.kind}){at}"
        yield f"  {first.claim}"
        for one in found[:TEXTS]:
            yield from (f"  - {line}" for line in one.text.splitlines()[:10])
        if len(found) > TEXTS:
            yield f"  - and {len(found) - TEXTS} more"


def _stop_at(found: Found, where: Breakpoint) -> int:
    """Run until a step or an event, and show what led there."""
    events = stopped(found.task, where, interactive=sys.stdin.isatty() and sys.stdout.isatty())
    for event in events[-LAST:]:
        click.echo(show(event))
    if not events or not where.hit(events[-1]):
        click.echo("the run ended before")
        return VIOLATION
    return OK
