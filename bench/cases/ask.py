"""``ask``: a question to a supervised actor, one after the other, each with a deadline."""

import time

import anyio

from bench.case import Case, Contender, Round
from bench.meter import Meter
from bench.rivals import bare, pykka, thespian
from bench.sample import Sample
from bench.supervised import Ground
from runtime.actor import Actor, ActorRef, actor_child


class Answering(Actor[int]):
    """Answers with what it was asked."""

    async def receive(self, message: int) -> int:
        """Answer."""
        return message


def ours(task: Round) -> Sample:
    """Ask a supervised actor of `runtime.actor`."""
    return anyio.run(_ours, task)


async def _ours(task: Round) -> Sample:
    ref: ActorRef[int] = ActorRef("answering")
    meter = Meter()
    latencies: list[float] = []

    async def ask() -> None:
        with meter.running():
            for number in range(task.operations):
                began = time.perf_counter()
                await ref.ask(number, 5.0)
                latencies.append(time.perf_counter() - began)

    await Ground(task.folder).supervise((actor_child("answering", Answering, ref),), ask)
    return meter.sample(task.operations, latencies)


CASE = Case(
    name="ask",
    title="ask with a deadline",
    operation="ask",
    operations=100_000,
    micro=True,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="ActorRef.ask, deadline 5 s on the tree's shared timer",
            guarantees="answered, refused, or told that the outcome is unknown, in time",
            run=ours,
        ),
        Contender(
            name="bare",
            role="limit",
            how="a deque and a future an ask",
            guarantees="none: no deadline, waits for ever if the actor dies",
            run=bare.ask,
        ),
        Contender(
            name="pykka",
            role="rival",
            how="Pykka 4.5 ref.ask(timeout=5)",
            guarantees="answered or timed out",
            run=pykka.ask,
            share=0.2,
        ),
        Contender(
            name="thespian",
            role="rival",
            how="Thespian 4.0 simpleSystemBase, system.ask(timeout 5)",
            guarantees="answered in the caller's thread; the timeout cannot interrupt it",
            run=thespian.ask,
            share=0.5,
        ),
    ),
)
