"""Thespian 4.0 on its simplest system base, the fastest one: everything in the caller's thread.

Its other bases put each actor into a process, which costs ten times as much a message
(thespianpy.com, "Actor System Base"). Run alone: ``python -m bench.rivals.thespian``.
"""

import time
from typing import Any

from thespian.actors import Actor, ActorSystem

from bench.case import Round
from bench.meter import Meter
from bench.rivals.alone import alone
from bench.sample import Sample


class Counting(Actor):  # type: ignore[misc]  # the library has no types
    """Counts what it is told; answers with the count what is a question."""

    def __init__(self) -> None:
        self._received = 0

    def receiveMessage(self, message: object, sender: Any) -> None:  # noqa: N802 - their name
        """Count; answer what is a text."""
        self._received += 1
        if isinstance(message, str):
            self.send(sender, self._received)


def tell(task: Round) -> Sample:
    """Tell everything, then ask once, to know that all was received."""
    system, meter = ActorSystem("simpleSystemBase"), Meter()
    counting = system.createActor(Counting)
    with meter.running():
        for number in range(task.operations):
            system.tell(counting, number)
        assert system.ask(counting, "count", 60) == task.operations + 1
    system.shutdown()
    return meter.sample(task.operations)


def ask(task: Round) -> Sample:
    """Ask one thing after the other, each with a timeout."""
    system, meter = ActorSystem("simpleSystemBase"), Meter()
    counting = system.createActor(Counting)
    latencies = []
    with meter.running():
        for _ in range(task.operations):
            began = time.perf_counter()
            system.ask(counting, "count", 5)
            latencies.append(time.perf_counter() - began)
    system.shutdown()
    return meter.sample(task.operations, latencies)


if __name__ == "__main__":
    alone(("mailbox", "thespian"), ("ask", "thespian"))
