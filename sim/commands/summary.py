"""How a sweep is told: as text, as JSON, as JUnit's XML, as GitHub's lines."""

import sys
from collections.abc import Iterator

import msgspec

from sim.commands.sweeping import Sweeping
from sim.console import hours, thousands, wrapped
from sim.investigation import Case
from sim.outcome import Outcome
from sim.report.files import REPLAY, REPORTS
from sim.report.junit import github, junit
from sim.report.names import lasted
from sim.simpler import size_of
from sim.sweep import Tally
from sim.token import seed_text

KEEP = "ordermill sim corpus add"
_SHOWN_MAX = 20
_NAMES_MAX = 12
_SLOWEST = 3


def head(sweeping: Sweeping) -> Iterator[str]:
    """Yield the first lines: how to see any of it again, and with what it was made."""
    wanted = sweeping.wanted
    if wanted.seed is not None:
        for scenario in wanted.scenarios:
            yield f"replay   {REPLAY} {scenario}:{seed_text(wanted.seed)}"
    else:
        yield f"replay any line with: {REPLAY} SCENARIO:SEED"
    yield sweeping.provenance.line()
    past = sweeping.planned - (wanted.seeds if wanted.seed is None else len(wanted.scenarios))
    wishes = wanted.wishes
    faults = "as drawn" if wishes.faults is None else ", ".join(wishes.faults) or "none"
    yield (
        f"scenarios {len(wanted.scenarios)}   corpus {past} + generated {sweeping.planned - past} "
        f"(base {wanted.base_name})   faults {faults}"
    )


def text(sweeping: Sweeping) -> Iterator[str]:
    """Yield the summary, failures last but for the figures."""
    tally = sweeping.tally
    yield from _scenarios(tally)
    yield from _failures(sweeping)
    for parted in tally.parted:
        yield f"NOT DETERMINISTIC {parted.outcome.name}  {parted.perturbation}"
        yield f"  trace {parted.outcome.digest} here, {parted.digest or parted.failed} there"
        if parted.where is not None:
            yield from (f"  {line}" for line in parted.where.lines("here", "there"))
        elif not parted.failed:
            yield "  run once more, both were the same: it does not show every time"
    yield from _reached(sweeping)
    yield from _slowest(tally)
    again = tally.same_again + len(tally.parted)
    if again:
        yield f"DETERMINISM  {tally.same_again} of {again} re-runs in fresh processes identical"
    yield _figures(sweeping)
    yield _last(sweeping)


def _reached(sweeping: Sweeping) -> Iterator[str]:
    probes, never = sweeping.tally.probes, sweeping.never_reached()
    more = "   (ordermill sim probes has all)" if never else ""
    yield f"REACHED  {len(probes) - len(never)} of {len(probes)} probes{more}"
    for title, names in (("NOT REACHED", never), ("NEVER EVALUATED", sweeping.never_evaluated())):
        if names:
            rest = [f"and {len(names) - _NAMES_MAX} more"] if len(names) > _NAMES_MAX else []
            yield from wrapped(f"{title}  ", [*names[:_NAMES_MAX], *rest])


def _slowest(tally: Tally) -> Iterator[str]:
    """Yield what took longest in any run to become true after the faults."""
    slow = sorted(tally.after_heal.items(), key=lambda row: -row[1])[:_SLOWEST]
    if slow:
        told = [f"{name} {lasted(seconds)}" for name, seconds in slow]
        yield from wrapped("LIVENESS  longest after heal: ", told)


def _scenarios(tally: Tally) -> Iterator[str]:
    width = max((len(name) for name in tally.runs), default=0)
    for name, runs in sorted(tally.runs.items(), key=lambda row: row[0] != "corpus"):
        failed = tally.failed[name]
        word = f"   FAIL {failed}" if failed else ""
        yield (
            f"{name:<{width}}  {runs - failed:>5}/{runs:<5} {thousands(tally.faults[name]):>9} "
            f"faults  {hours(tally.virtual[name]):>7} virtual{word}"
        )


def _failures(sweeping: Sweeping) -> Iterator[str]:
    cases = {id(case.outcome): case for case in sweeping.cases}
    for number, outcome in enumerate(sweeping.tally.failures):
        if number == _SHOWN_MAX:
            yield f"... and {len(sweeping.tally.failures) - number} more failures"
            return
        first = outcome.violations[0]
        at = f"  step {thousands(first.step)}, t=+{first.at:.3f}s" if first.step else ""
        yield f"FAIL {outcome.name}  property {first.name} ({first.kind}){at}"
        if id(outcome) in cases:
            yield from (f"  {line}" for line in first.text.splitlines()[:12])
            yield from (f"  {line}" for line in case_lines(cases[id(outcome)]))
        else:
            yield f"  {first.text.splitlines()[0][:160] if first.text else ''}"
            yield f"  replay   {outcome.again}"


def case_lines(case: Case) -> Iterator[str]:
    """Yield what became of a failure that was looked into."""
    if case.shrunk is not None and case.report is not None and case.report.shrunk is not None:
        before = case.report.shrunk
        faults, orders, _ = size_of(case.shrunk.plan)
        kinds = " | ".join(
            f"{one.kind} {one.target} @{one.at_s:g}s".replace("  ", " ")
            for one in case.shrunk.plan.faults[:6]
        )
        cut = "" if case.shrunk.done else " (time is up)"
        yield (
            f"shrunk {before.faults} -> {faults} faults, {before.orders} -> {orders} orders in "
            f"{case.shrunk.seconds:.0f}s{cut}" + (f":  {kinds}" if kinds else "")
        )
    if case.report is None:
        yield "report   none: the run gave no result when it was recorded"
    else:
        yield f"trace    {case.report.digest[:12]}, {case.report.repeated}"
        yield f"report   {case.folder / 'report.html'}"
    yield f"replay   {_replay(case)}"
    if case.report is not None and not case.outcome.corpus and not case.outcome.wishes.mutation:
        yield f'keep     {KEEP} {case.folder} --why "..."'


def _replay(case: Case) -> str:
    if case.report is not None and case.folder.parent != REPORTS:
        return f"{REPLAY} {case.folder}"
    return case.outcome.again if case.report is None else f"{REPLAY} {case.report.token}"


def _figures(sweeping: Sweeping) -> str:
    tally, seconds = sweeping.tally, max(sweeping.live.seconds, 0.001)
    left = sweeping.planned - tally.done
    cut = f", {left} not run" if left else ""
    return (
        f"{tally.passed} passed, {len(tally.failures)} failed{cut}   {seconds:.0f}s   "
        f"{tally.done / seconds:.1f} seeds/s   {hours(tally.virtual_s)} virtual   "
        f"{tally.cpu_s / max(1, tally.done):.2f}s CPU a run"
    )


def _last(sweeping: Sweeping) -> str:
    """Return the line that shows it again: the first failure, or else the same sweep."""
    wanted = sweeping.wanted
    if sweeping.cases:
        return f"replay   {_replay(sweeping.cases[0])}"
    if sweeping.tally.failures:
        return f"replay   {sweeping.tally.failures[0].again}"
    if wanted.seed is not None:
        one = Outcome(scenario=wanted.scenarios[0], seed=wanted.seed, wishes=wanted.wishes)
        return f"replay   {one.again}"
    names, options = " ".join(wanted.scenarios), " ".join(wanted.wishes.options())
    again = (
        f"ordermill sim run {names} --seeds {wanted.seeds} --seed-base {wanted.base:#x} {options}"
    )
    return f"again    {again}".rstrip()


def print_summary(sweeping: Sweeping, format_: str) -> None:
    """Write the summary to standard output."""
    tally = sweeping.tally
    if format_ == "text":
        lines = list(text(sweeping))
    elif format_ == "github":
        lines = [*github(tally.failures), _figures(sweeping)]
    elif format_ == "junit":
        passed = {name: runs - tally.failed[name] for name, runs in tally.runs.items()}
        lines = [junit(tally.failures, passed).rstrip()]
    else:
        lines = [_json(sweeping)]
    sys.stdout.write("\n".join(lines) + "\n")


def _json(sweeping: Sweeping) -> str:
    tally = sweeping.tally
    found = {
        "schema": "ordermill.sim.summary/v1",
        "provenance": sweeping.provenance,
        "base": sweeping.wanted.base_name,
        "planned": sweeping.planned,
        "passed": tally.passed,
        "failed": len(tally.failures),
        "failures": tally.failures,
        "reports": [str(case.folder) for case in sweeping.cases],
        "same_again": tally.same_again,
        "not_deterministic": [one.outcome.name for one in tally.parted],
        "probes": dict(tally.probes),
        "never_reached": sweeping.never_reached(),
        "cases": dict(tally.cases),
        "after_heal": tally.after_heal,
        "fired": dict(tally.fired),
        "seconds": round(sweeping.live.seconds, 1),
        "virtual_s": tally.virtual_s,
        "exit_code": sweeping.exit_code(),
    }
    return msgspec.json.format(msgspec.json.encode(found), indent=2).decode()
