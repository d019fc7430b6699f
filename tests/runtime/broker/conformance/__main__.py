"""Random steps on the core and on other brokers: ``python -m ...conformance --seeds 1000``.

A difference is played again: it counts if the other broker does it every time. Then it is shrunk
and printed as a script of the other broker's, ready to be read and kept. Exit code 1 if any is
left.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from tests.harness.embedded import EmbeddedServer
from tests.harness.rabbitmq import RabbitMQ
from tests.runtime.broker.conformance.differential import (
    FREE,
    Connect,
    Difference,
    rehearse,
    reproducible,
    verdict,
)
from tests.runtime.broker.conformance.generator import Generator
from tests.runtime.broker.conformance.player import record
from tests.runtime.broker.conformance.script import Scenario
from tests.runtime.broker.conformance.shrink import shrunk
from tests.runtime.broker.conformance.targets import real


def tell(line: object) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def report(seed: int, lines: Sequence[str], connect: Connect) -> None:
    """Shrink a difference and print it, as it is and as a script."""
    least = shrunk(lines, lambda some: isinstance(verdict(some, connect), Difference))
    tell(f"\nseed {seed}, {len(lines)} lines, {len(least)} when shrunk")
    tell(verdict(least, connect))
    steps = rehearse(least)
    scenario = Scenario(Path("random"), f"seed {seed}", tuple(step.line for step in steps))
    tell(f"== seed {seed}")
    with closing(connect()) as target:
        record(scenario, target, tell)


@contextmanager
def rabbitmq() -> Iterator[Connect]:
    """A node of our own, a virtual host each."""
    node = RabbitMQ()
    try:
        node.start()
        yield lambda: real(node)
    finally:
        node.close()


@contextmanager
def embedded() -> Iterator[Connect]:
    """Our own server, a virtual host each."""
    with EmbeddedServer() as server:
        yield server.fresh_target


def main() -> int:
    """Run the seeds; print progress, differences and a summary."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--on", choices=("rabbitmq", "tcp"), default="rabbitmq")
    options = parser.parse_args()
    # The node is a process of its own: it must not outlive a run that is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("told to stop"))
    counts = {"agree": 0, FREE: 0, "once only": 0, "differ": 0}
    started = time.monotonic()
    with rabbitmq() if options.on == "rabbitmq" else embedded() as connect:
        for seed in range(options.first, options.first + options.seeds):
            lines = Generator(seed).run(options.steps)
            found = verdict(lines, connect)
            if found is None:
                counts["agree"] += 1
            elif isinstance(found, str):
                counts[found] += 1
            elif reproducible(lines, connect) is None:
                counts["once only"] += 1
            else:
                counts["differ"] += 1
                report(seed, lines, connect)
            if seed % 20 == 19:
                rate = (seed + 1 - options.first) / (time.monotonic() - started)
                sys.stderr.write(f"up to seed {seed}: {counts}, {rate:.1f} seeds a second\n")
    tell(f"{options.seeds} seeds of {options.steps} steps on {options.on}: {counts}")
    return 1 if counts["differ"] else 0


if __name__ == "__main__":
    sys.exit(main())
