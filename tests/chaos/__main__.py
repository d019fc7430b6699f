"""``python -m tests.chaos``: a campaign from the command line; the folder of a red one is kept."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import anyio

from tests.chaos.campaign import Plan, run
from tests.harness.rabbitmq import server_home


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run one campaign; 0 if everything held, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--orders", type=int, default=500, help="accepted ones, at least")
    parser.add_argument("--clients", type=int, default=12)
    parser.add_argument("--broker", choices=["embedded", "rabbitmq"], default="embedded")
    parser.add_argument("--split", action="store_true", help="every service its own process")
    given = parser.parse_args()
    if given.broker == "rabbitmq" and server_home() is None:
        parser.error("no RabbitMQ server is installed here (make rabbitmq)")
    plan = Plan(
        seed=random.randrange(10**9) if given.seed is None else given.seed,
        kills=given.kills,
        orders=given.orders,
        broker=given.broker,
        split=given.split,
        clients=given.clients,
    )
    folder = Path(tempfile.mkdtemp(prefix="chaos-"))
    _say(f"seed {plan.seed}  folder {folder}")
    outcome = anyio.run(run, plan, folder, _say)
    _say(outcome.summary())
    if outcome.green:
        shutil.rmtree(folder)
        return 0
    _say(f"kept: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
