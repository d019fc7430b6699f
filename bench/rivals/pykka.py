"""Pykka 4.5: actors as threads (docs.pykka.readthedocs.io, "Quickstart").

Run alone: ``python -m bench.rivals.pykka``.
"""

import time

import pykka

from bench.case import Round
from bench.meter import Meter
from bench.rivals.alone import alone
from bench.sample import Sample


class Counting(pykka.ThreadingActor):
    """Counts what it is told; answers with the count what it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._received = 0

    def on_receive(self, message: object) -> int:
        """Count."""
        self._received += 1
        return self._received


def tell(task: Round) -> Sample:
    """Tell everything, then ask once, to know that all was received."""
    counting, meter = Counting.start(), Meter()
    with meter.running():
        for number in range(task.operations):
            counting.tell(number)
        assert counting.ask(-1) == task.operations + 1
    counting.stop()
    return meter.sample(task.operations)


def ask(task: Round) -> Sample:
    """Ask one thing after the other, each with a timeout."""
    counting, meter = Counting.start(), Meter()
    latencies = []
    with meter.running():
        for number in range(task.operations):
            began = time.perf_counter()
            counting.ask(number, timeout=5.0)
            latencies.append(time.perf_counter() - began)
    counting.stop()
    return meter.sample(task.operations, latencies)


if __name__ == "__main__":
    alone(("mailbox", "pykka"), ("ask", "pykka"))
