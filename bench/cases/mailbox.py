"""``mailbox``: a message told to a supervised actor and received by it.

The teller writes bursts of half a mailbox and lets the others run between them, as a consumer that
hands over what one read of its socket held.
"""

from functools import partial

import anyio
from anyio.lowlevel import checkpoint

from bench.case import Case, Contender, Round
from bench.meter import Meter
from bench.rivals import bare, pykka, thespian
from bench.sample import Sample
from bench.supervised import Ground
from runtime.actor import Actor, ActorRef, actor_child

BURST = 512


class Counting(Actor[int]):
    """Counts what it receives, and says when that was all."""

    def __init__(self, expected: int, everything: anyio.Event) -> None:
        self._left = expected
        self._everything = everything

    async def receive(self, message: int) -> None:
        """Count."""
        self._left -= 1
        if self._left == 0:
            self._everything.set()


def ours(task: Round) -> Sample:
    """Tell a supervised actor of `runtime.actor`."""
    return anyio.run(_ours, task)


async def _ours(task: Round) -> Sample:
    ref: ActorRef[int] = ActorRef("counting")
    everything, meter = anyio.Event(), Meter()

    async def tell() -> None:
        told = ref.tell
        with meter.running():
            for start in range(0, task.operations, BURST):
                for number in range(start, min(start + BURST, task.operations)):
                    told(number)
                while len(ref.mailbox) > BURST:
                    await checkpoint()
            await everything.wait()

    counting = partial(Counting, task.operations, everything)
    await Ground(task.folder).supervise((actor_child("counting", counting, ref),), tell)
    return meter.sample(task.operations)


CASE = Case(
    name="mailbox",
    title="tell into a supervised actor",
    operation="message",
    operations=1_000_000,
    micro=True,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="ActorRef.tell into a supervised actor, bounded mailbox of 1,024",
            guarantees="bounded, in order, outlives the actor's crash; lost with the process",
            run=ours,
        ),
        Contender(
            name="bare",
            role="limit",
            how="a deque and one future, drained by a loop that awaits a coroutine a message",
            guarantees="none: unbounded, unsupervised",
            run=bare.tell,
        ),
        Contender(
            name="pykka",
            role="rival",
            how="Pykka 4.5 ThreadingActor, ref.tell",
            guarantees="in order, unbounded, unsupervised; lost with the process",
            run=pykka.tell,
            share=0.1,
        ),
        Contender(
            name="thespian",
            role="rival",
            how="Thespian 4.0 simpleSystemBase: the caller's thread runs the actor",
            guarantees="in order, nothing concurrent; lost with the process",
            run=thespian.tell,
            share=0.1,
        ),
    ),
)
