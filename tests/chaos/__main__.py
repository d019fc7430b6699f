"""``python -m tests.chaos``: all campaigns, or those named; the folder of a red one is kept."""

import argparse
import random
import shutil
import sys
import tempfile
import time
from pathlib import Path

import anyio
import msgspec

from bench.rabbitmq import server_home
from tests.chaos.campaign import run
from tests.chaos.outcome import Outcome, Plan

CAMPAIGNS = {
    "together": Plan(seed=0, kills=120, orders=600),
    "split": Plan(seed=0, kills=110, orders=400, split=True),
    "rabbitmq": Plan(seed=0, kills=30, orders=150, broker="rabbitmq", mail="smtp"),
    "split-rabbitmq": Plan(
        seed=0, kills=90, orders=300, broker="rabbitmq", split=True, mail="smtp"
    ),
}


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the campaigns, one after the other; 0 if everything held in each, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="CAMPAIGN", help=", ".join(CAMPAIGNS))
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    parser.add_argument("--kills", type=int, default=None, help="of each campaign")
    parser.add_argument("--orders", type=int, default=None, help="accepted ones, at least")
    given = parser.parse_args()
    if unknown := [name for name in given.names if name not in CAMPAIGNS]:
        parser.error(f"no such campaign: {', '.join(unknown)}; there are {', '.join(CAMPAIGNS)}")
    plans = {name: CAMPAIGNS[name] for name in given.names or CAMPAIGNS}
    if server_home() is None and any(plan.broker == "rabbitmq" for plan in plans.values()):
        parser.error("no RabbitMQ server is installed here (make rabbitmq)")
    changes = {"seed": random.randrange(10**9) if given.seed is None else given.seed}
    changes |= {
        name: value for name in ("kills", "orders") if (value := getattr(given, name)) is not None
    }
    outcomes = [
        _campaign(name, msgspec.structs.replace(plan, **changes)) for name, plan in plans.items()
    ]
    kills = sum(len(outcome.kills) for outcome in outcomes)
    red = [name for name, outcome in zip(plans, outcomes, strict=True) if not outcome.green]
    _say(f"seed {changes['seed']}: {kills} kills, {f'RED: {red}' if red else 'all green'}")
    return 1 if red else 0


def _campaign(name: str, plan: Plan) -> Outcome:
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    _say(f"== {name}, {plan}")
    began = time.monotonic()
    outcome = anyio.run(run, plan, folder, _say)
    _say(f"{outcome.summary()}\n{time.monotonic() - began:.0f} s")
    if outcome.green:
        shutil.rmtree(folder)
    else:
        _say(f"kept: {folder}")
    return outcome


if __name__ == "__main__":
    sys.exit(main())
