"""``ordermill bench run``: measure, hold against the targets, keep the samples."""

import signal
from pathlib import Path

import click
import msgspec

from bench.case import CASES, load_case
from bench.load import Load, at_rate, closed
from bench.machine import commit, now, this_machine
from bench.progress import Progress
from bench.results import Results, load_results, merged, result_of, save
from bench.rivals.missing import explained
from bench.rounds import WORK, Plan, RoundFailed, run_case
from bench.targets import judge
from bench.text import case_lines, summary_lines, target_lines
from bench.thresholds import Threshold
from runtime.errors import ConfigurationError
from sim.commands.options import Duration

FAILED = 1


@click.command()
@click.argument("cases", metavar="[CASE]...", nargs=-1)
@click.option("--repeat", type=click.IntRange(1), default=5, show_default=True, help="Rounds.")
@click.option("--scale", type=float, default=1.0, help="Operations a round, times this.")
@click.option("--rate", type=float, help="Open loop: operations a second on a schedule.")
@click.option("--duration", type=Duration(), help="With --rate: how long a round takes (20s, 2m).")
@click.option("--closed", "open_max", type=click.IntRange(1), help="Closed loop: N at a time.")
@click.option("--only", multiple=True, metavar="CONTENDER", help="Not the others. Repeatable.")
@click.option("--threshold", multiple=True, metavar="EXPR", help="'p99 < 50ms', 'errors == 0'.")
@click.option("--long", is_flag=True, help="At full size: a million orders and messages. Hours.")
@click.option("--require-targets", is_flag=True, help="Exit with 1 if a must is not met.")
@click.option("--save", "file", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--work", type=click.Path(path_type=Path, file_okay=False), default=WORK)
@click.option("--format", "format_", type=click.Choice(["text", "json"]), default="text")
def run(
    cases: tuple[str, ...],
    repeat: int,
    scale: float,
    rate: float | None,
    duration: float | None,
    open_max: int | None,
    only: tuple[str, ...],
    threshold: tuple[str, ...],
    long: bool,
    require_targets: bool,
    file: Path | None,
    work: Path,
    format_: str,
) -> int:
    """Measure these cases (all, if none is named), each beside its rivals, in turns.

    With --save the samples are kept; a file that is there keeps its other cases.
    """
    # Told to end, it ends like after Ctrl-C: with the broker and whatever a round has started.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    limits = [Threshold.parse(text) for text in threshold]
    load = _load(rate, open_max)
    plan = Plan(
        repeats=repeat,
        scale=scale,
        operations=_operations(rate, duration),
        only=only,
        long=long,
        load=load,
        work=work,
    )
    try:
        results = _measure(_known(cases), plan, file)
    except RoundFailed as failure:
        click.echo(f"error: {failure}", err=True)
        return FAILED
    judged = judge(results, list(results.cases))
    held = [limit.judge(results) for limit in limits]
    if format_ == "json":
        click.echo(msgspec.json.format(msgspec.json.encode(results), indent=1).decode())
    else:
        lines = [line for case in results.cases.values() for line in case_lines(case)]
        lines += [line for limit in held for line in limit.lines]
        click.echo("\n".join([*lines, *target_lines(judged), *summary_lines(results, judged)]))
    failed = require_targets and any(row.failed for row in judged)
    return FAILED if failed or not all(limit.holds for limit in held) else 0


def _measure(cases: tuple[str, ...], plan: Plan, file: Path | None) -> Results:
    """Run the cases; what is measured is kept case by case, should a later one fail."""
    progress = Progress()
    older = load_results(file) if file is not None and file.exists() else None
    results = Results(at=now(), commit=commit(), machine=this_machine(), cases={})
    for name in cases:
        with explained():
            case = load_case(name)
        for contender in plan.only:
            if contender not in [one.name for one in case.contenders]:
                names = ", ".join(one.name for one in case.contenders)
                raise ConfigurationError(f"{name} has no {contender}", hint=f"one of {names}")
        results.cases[name] = result_of(case, run_case(case, plan, progress))
        if file is not None:
            save(merged(older, results) if older is not None else results, file)
    return results


def _known(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if name not in CASES:
            raise ConfigurationError(f"there is no case {name}", hint=f"one of {', '.join(CASES)}")
    return names or CASES


def _operations(rate: float | None, duration_s: float | None) -> int | None:
    if duration_s is None:
        return None
    if rate is None:
        raise ConfigurationError(
            "--duration needs --rate", hint="a closed loop is as long as its operations: --scale"
        )
    return max(1, int(rate * duration_s))


def _load(rate: float | None, open_max: int | None) -> Load | None:
    if rate is not None and open_max is not None:
        raise ConfigurationError("--rate and --closed exclude each other")
    if rate is not None:
        if rate <= 0:
            raise ConfigurationError(f"--rate must be above 0, not {rate:g}")
        return at_rate(rate)
    return None if open_max is None else closed(open_max)
