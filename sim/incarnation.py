"""One run of one simulated process: what belongs to it, and how it dies.

The law of this file: a handle of the event loop belongs to the incarnation in whose context it
was made; once that is dead, none of its handles runs again - no ``finally``, no ``aclose``, no
callback.
That is what a power cut does. Its tasks and coroutines are kept in the graveyard instead of being
dropped, because dropping a coroutine runs its ``finally``.
"""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Literal

State = Literal["alive", "frozen", "dead"]

CURRENT: contextvars.ContextVar["Incarnation | None"] = contextvars.ContextVar(
    "incarnation", default=None
)

NOBODY = contextvars.Context()
"""What happens in this context belongs to no process: the network, the weather, the faults."""
NOBODY.run(CURRENT.set, None)


class Incarnation:
    """``number`` counts the runs of ``node`` from 1. ``context`` marks everything it starts."""

    __slots__ = ("context", "held", "node", "number", "on_death", "state")

    def __init__(self, node: str, number: int) -> None:
        self.node = node
        self.number = number
        self.state: State = "alive"
        self.held: list[Any] = []
        self.on_death: list[Callable[[], None]] = []
        self.context = contextvars.copy_context()
        self.context.run(CURRENT.set, self)

    def __repr__(self) -> str:
        return f"{self.node}/{self.number}"

    @property
    def alive(self) -> bool:
        """Whether it still runs, or would if it were not frozen."""
        return self.state != "dead"

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Start a task that belongs to this incarnation."""
        loop = asyncio.get_running_loop()
        return loop.create_task(work, context=self.context.copy())
