"""Rewrites scripts with what a real RabbitMQ answers: ``python -m ...conformance.record FILE...``.

Read the difference before you keep it: the scripts are the specification.
"""

import sys
from pathlib import Path

from tests.harness.rabbitmq import RabbitMQ
from tests.runtime.broker.conformance.player import record
from tests.runtime.broker.conformance.script import parse
from tests.runtime.broker.conformance.targets import real


def main(files: list[Path]) -> None:
    """Record every scenario of these files."""
    node = RabbitMQ()
    try:
        node.start()
        for file in files:
            lines: list[str] = []
            for scenario in parse(file):
                lines.append(f"== {scenario.title}")
                target = real(node)
                try:
                    record(scenario, target, lines.append)
                except (AssertionError, TimeoutError, ValueError, TypeError) as error:
                    sys.stderr.write(
                        f"{file.name}: {scenario.title}: {error!r} after {lines[-1]}\n"
                    )
                target.close()
            file.write_text("\n".join(lines) + "\n")
    finally:
        node.close()


if __name__ == "__main__":
    main([Path(name) for name in sys.argv[1:]])
