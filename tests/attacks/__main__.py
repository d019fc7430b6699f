"""``python -m tests.attacks``: an attack from the command line; the folder of a red one is kept."""

import argparse
import random
import shutil
import sys
import tempfile
from pathlib import Path

import anyio

from runtime.host import allow_open_files
from tests.attacks.campaign import Plan, run
from tests.attacks.floods import Sizes


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run one attack; 0 if everything held, 1 if not."""
    parser = argparse.ArgumentParser(prog="python -m tests.attacks", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="default: a new one")
    parser.add_argument("--corpus", type=int, default=None, help="default: all of it")
    parser.add_argument("--mutated", type=int, default=60_000)
    parser.add_argument("--noise", type=int, default=30_000)
    parser.add_argument(
        "--streams", type=int, default=10_000, help="event streams, opened and left"
    )
    given = parser.parse_args()
    plan = Plan(
        seed=random.randrange(10**9) if given.seed is None else given.seed,
        corpus=given.corpus,
        mutated=given.mutated,
        noise=given.noise,
        floods=Sizes(stream_opens=given.streams, slow_heads=3000, connects=20_000, seconds=30.0),
    )
    allow_open_files()
    folder = Path(tempfile.mkdtemp(prefix="attack-"))
    _say(f"seed {plan.seed}  folder {folder}")
    outcome = anyio.run(run, plan, folder, _say)
    _say(outcome.summary())
    if not outcome.breaches:
        shutil.rmtree(folder)
        return 0
    _say(f"kept: {folder}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
