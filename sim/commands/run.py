"""``ordermill sim run``: seeds of scenarios, on all cores, and what they showed."""

import sys
import time
from pathlib import Path
from typing import Any

import click
import msgspec

from actors.cli import Options
from actors.commands.settings import settings_file
from runtime.errors import ConfigurationError
from sim.commands.options import CORPUS, JOBS, REPORT, Duration, known_scenarios
from sim.commands.summary import head, print_summary
from sim.commands.sweeping import Sweeping, Wanted
from sim.console import Live
from sim.faults.table import KINDS
from sim.mutations.catalogue import MUTATIONS
from sim.outcome import Wishes
from sim.plan import STEPS_MAX, VIRTUAL_S_MAX
from sim.profiles import NAMES, Profile, read_profiles
from sim.provenance import Provenance, provenance
from sim.shrink import BUDGET_S
from sim.sweep import Limits
from sim.token import parse_seed


class Share(click.ParamType[float]):
    """A share: 5%, or 0.05."""

    name = "share"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read it."""
        text = str(value)
        try:
            share = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
        except ValueError:
            share = -1.0
        if not 0 <= share <= 1:
            self.fail(f"{text!r} is no share: expected something like 5%", param, ctx)
        return share


@click.command()
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@click.option("--seed", help="This seed only, of each scenario.")
@click.option("--seeds", type=click.IntRange(1), help="How many, over all scenarios (200).")
@click.option("--seed-base", default=None, help="git, random, or a number: where seeds come from.")
@click.option("--profile", type=click.Choice(NAMES), default="dev", show_default=True)
@click.option("--faults", default="default", help="default, none, or kinds: kill,freeze,...")
@click.option("--mutate", "mutation", default="", help="Plant a defect (see ordermill sim list).")
@click.option("--intensity", type=click.FloatRange(0, 10), help="How many faults (1.0).")
@click.option("--orders", type=click.IntRange(1, 1000), help="How many orders a run has (20).")
@CORPUS
@JOBS
@click.option("--max-steps", type=click.IntRange(1), default=STEPS_MAX, help="Of the scheduler.")
@click.option("--max-virtual", type=Duration(), default=VIRTUAL_S_MAX, help="A run's length (1h).")
@click.option("--time-budget", type=Duration(), help="Then no new run begins: 90s, 10m, 1h.")
@click.option("--keep-going/--fail-fast", default=True, help="Go on after a failure.")
@click.option("--check-determinism", type=Share(), help="Share of runs to be repeated (5%).")
@click.option("--require-reached", is_flag=True, default=None, help="Fail if a probe is not hit.")
@REPORT
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json", "junit", "github"]),
    default="text",
    show_default=True,
)
@click.option("--shrink/--no-shrink", default=True, help="Make failing runs small.")
@click.option("--shrink-budget", type=Duration(), default=BUDGET_S, help="For each (60s).")
@click.option("--progress/--no-progress", default=True, help="Show a bar on a terminal.")
@click.pass_obj
def run(
    options: Options, /, scenarios: tuple[str, ...], format_: str, progress: bool, **given: Any
) -> int:
    """Run seeds of scenarios (all, if none is named), and judge every run.

    Exits with 1 if something was violated, with 4 if a run was not the same again.
    """
    made_with = provenance()
    profile: Profile = getattr(read_profiles(settings_file(options)), given["profile"])
    wanted = _wanted(known_scenarios(scenarios), made_with, profile, given)
    live = Live(
        wanted.tasks()[0],
        bar=progress and sys.stderr.isatty(),
        color=options.color != "never",
        quiet=options.verbosity < 0,
    )
    sweeping = Sweeping(wanted, made_with, options.environment, live)
    stream = sys.stdout if format_ == "text" else sys.stderr
    if live.quiet and format_ != "text":
        stream = None
    if stream is not None:
        stream.write("\n".join(head(sweeping)) + "\n")
        stream.flush()
    sweeping.go()
    print_summary(sweeping, format_)
    return sweeping.exit_code()


def _wanted(
    scenarios: tuple[str, ...], made_with: Provenance, profile: Profile, given: dict[str, Any]
) -> Wanted:
    chosen = {name: value for name, value in given.items() if value is not None}
    asked = {**msgspec.structs.asdict(profile), "time_budget": profile.time_budget_s, **chosen}
    base, base_name = _base(asked["seed_base"], made_with)
    return Wanted(
        scenarios=scenarios,
        seeds=asked["seeds"],
        seed=None if given["seed"] is None else parse_seed(given["seed"]),
        base=base,
        base_name=base_name,
        wishes=Wishes(
            asked["orders"],
            _faults(given["faults"]),
            asked["intensity"],
            _mutation(given["mutation"]),
            given["max_steps"],
            given["max_virtual"],
        ),
        limits=Limits(given["jobs"], asked["time_budget"], fail_fast=not given["keep_going"]),
        sample=asked["check_determinism"],
        require_reached=asked["require_reached"],
        shrink_s=given["shrink_budget"] if given["shrink"] else 0.0,
        reports=Path(given["report"]),
        corpus=Path(given["corpus"]),
    )


def _base(text: str, made_with: Provenance) -> tuple[int, str]:
    """Return the number that seeds follow from, and how it is called."""
    if text == "random":
        base = time.time_ns() // 1000 % 2**32
        return base, f"random:{base:#x}"
    if text == "git":
        commit = made_with.commit
        if not commit:
            return parse_seed("0x0"), f"version:{made_with.package}"
        return parse_seed(f"0x{commit}"), f"git:{commit}"
    base = parse_seed(text)
    return base, f"{base:#x}"


def _mutation(name: str) -> str:
    if name and name not in MUTATIONS:
        raise ConfigurationError(
            f"there is no mutation {name}", hint="ordermill sim list shows all"
        )
    return name


def _faults(text: str) -> tuple[str, ...] | None:
    if text in ("default", "none"):
        return None if text == "default" else ()
    kinds = tuple(kind.strip() for kind in text.split(","))
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigurationError(
                f"--faults: there is no kind {kind}", hint="ordermill sim list shows all"
            )
    return kinds
