"""``ordermill sim mutate``: defects planted into the product, and how soon they are caught."""

import sys
from collections.abc import Iterator, Sequence
from statistics import median

import click
import msgspec

from actors.cli import Options
from runtime.errors import ConfigurationError
from sim import scratch
from sim.commands.options import FORMAT, JOBS, OK, VIOLATION, known_scenarios
from sim.console import Live, wrapped
from sim.mutations.catalogue import EVERYWHERE, HUNTED_IN, MUTATIONS, claim_of
from sim.outcome import Task, Wishes
from sim.provenance import provenance
from sim.sweep import Limits, Tally, seed_of, sweep
from sim.token import parse_seed

SEEDS = 100
CATCHES = 5
_NAMES_MAX = 6


class Catch(msgspec.Struct, frozen=True, kw_only=True):
    """How one mutation fared. ``first`` and ``median`` count seeds to a catch, 0 for none.

    ``excused``: seeds that fail without the mutation too, and so prove nothing.
    """

    name: str
    claim: str
    scenarios: tuple[str, ...]
    seeds: int
    catches: int
    first: int
    median: float
    per_thousand: float
    properties: tuple[str, ...]
    excused: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """Whether a seed caught it that passes without it."""
        return self.catches > 0


@click.command()
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--seeds", type=click.IntRange(1), default=SEEDS, show_default=True)
@click.option("--catches", type=click.IntRange(1), default=CATCHES, help="Then it is enough (5).")
@click.option("--scenario", "scenarios", multiple=True, help="Of these (each has its own).")
@click.option("--seed-base", default="1", show_default=True)
@JOBS
@FORMAT
@click.pass_obj
def mutate(
    options: Options,
    /,
    names: tuple[str, ...],
    seeds: int,
    catches: int,
    scenarios: tuple[str, ...],
    seed_base: str,
    jobs: int,
    format_: str,
) -> int:
    """Plant defects, one after another, and count the seeds until each is caught.

    Exits with 1 if one is not caught by any seed that passes without it.
    """
    unknown = [name for name in names if name not in MUTATIONS]
    if unknown:
        raise ConfigurationError(
            f"there is no mutation {unknown[0]}", hint="ordermill sim list shows all"
        )
    chosen = names or tuple(MUTATIONS)
    hunt = Hunt(
        known_scenarios(scenarios) if scenarios else (),
        seeds,
        catches,
        parse_seed(seed_base),
        jobs,
    )
    if format_ == "text":
        click.echo(f"{provenance().line()}   {len(chosen)} mutations, {seeds} seeds at most each")
    scratch.clear_up()
    live = Live(len(chosen), bar=False, color=False, quiet=options.verbosity < 0)
    found = []
    for name in chosen:
        catch = hunt.run(name)
        found.append(catch)
        if format_ == "text":
            click.echo("\n".join(_lines(catch)))
        else:
            live.say(f"{catch.name}  {'caught' if catch.caught else 'NOT CAUGHT'}")
    if format_ == "json":
        sys.stdout.write(_json(found))
    else:
        click.echo(_summary(found))
    return OK if all(catch.caught for catch in found) else VIOLATION


class Hunt:
    """Looks for each mutation in ``scenarios``, or (none) where the catalogue says.

    All that are hunted in one scenario meet the same seeds, in the same order.
    """

    def __init__(
        self, scenarios: Sequence[str], seeds: int, catches: int, base: int, jobs: int
    ) -> None:
        self._scenarios, self._base = scenarios, base
        self._seeds, self._catches, self._jobs = seeds, catches, jobs
        self._clean: dict[tuple[str, int], bool] = {}

    def run(self, name: str) -> Catch:
        """Hunt one mutation."""
        tally = Tally()
        caught: list[int] = []
        excused: list[str] = []
        properties: dict[str, None] = {}
        scenarios = self._scenarios or (HUNTED_IN.get(name, EVERYWHERE),)
        tasks = [Task(*where, Wishes(mutation=name)) for where in self._places(scenarios)]
        number = {(task.scenario, task.seed): at for at, task in enumerate(tasks, 1)}
        for task, outcome in sweep(self._until(tasks, caught), Limits(jobs=self._jobs)):
            tally.add(outcome)
            if outcome.passed:
                continue
            if self._passes(task):
                caught.append(number[task.scenario, task.seed])
                properties.update(dict.fromkeys(one.name for one in outcome.violations))
            else:
                excused.append(outcome.name)
        caught.sort()
        gaps = [after - before for before, after in zip([0, *caught], caught, strict=False)]
        return Catch(
            name=name,
            claim=claim_of(name),
            scenarios=tuple(scenarios),
            seeds=tally.done,
            catches=len(caught),
            first=caught[0] if caught else 0,
            median=median(gaps) if gaps else 0.0,
            per_thousand=1000 * len(caught) / max(1, tally.done),
            properties=tuple(properties),
            excused=tuple(excused),
        )

    def _places(self, scenarios: Sequence[str]) -> list[tuple[str, int]]:
        count = len(scenarios)
        return [
            (scenarios[at % count], seed_of(self._base, scenarios[at % count], at // count))
            for at in range(self._seeds)
        ]

    def _until(self, tasks: Sequence[Task], caught: list[int]) -> Iterator[Task]:
        for task in tasks:
            if len(caught) >= self._catches:
                return
            yield task

    def _passes(self, task: Task) -> bool:
        """Whether the seed passes without the mutation."""
        where = task.scenario, task.seed
        if where not in self._clean:
            [(_, outcome)] = list(sweep([Task(*where)], Limits(jobs=1)))
            self._clean[where] = outcome.passed
        return self._clean[where]


def _lines(catch: Catch) -> Iterator[str]:
    word = "caught" if catch.caught else "NOT CAUGHT"
    figures = (
        f"first after {catch.first:>3}, median {catch.median:g}, {catch.per_thousand:.0f} per 1 000"
        if catch.caught
        else f"in {catch.seeds} seeds"
    )
    yield f"{word:<11} {catch.name}  {figures}  in {', '.join(catch.scenarios)}"
    properties = list(catch.properties[:_NAMES_MAX])
    if len(catch.properties) > _NAMES_MAX:
        properties.append(f"and {len(catch.properties) - _NAMES_MAX} more")
    yield from wrapped("            ", properties if catch.caught else [catch.claim])
    if catch.excused:
        yield f"            failing without it too: {', '.join(catch.excused[:5])}"


def _summary(found: Sequence[Catch]) -> str:
    caught = [catch for catch in found if catch.caught]
    worst = max((catch.median for catch in caught), default=0)
    return f"{len(caught)} of {len(found)} caught   worst median {worst:g} seeds"


def _json(found: Sequence[Catch]) -> str:
    data = {"schema": "ordermill.sim.mutations/v1", "mutations": found}
    return msgspec.json.format(msgspec.json.encode(data), indent=2).decode() + "\n"
