"""What a virtual loop hands out: tasks with serial numbers, and handles.

A task's hash is its serial number, so that a set of tasks has one order, not that of addresses.
Futures are asyncio's own: to await an instance of a subclass takes a slower path through asyncio,
and nobody iterates over a set of futures that is not ordered otherwise (see `sim.guard`).
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any

import msgspec

from sim.incarnation import CURRENT, Incarnation


class SimTask(asyncio.Task[Any]):
    """A task with a serial number that knows whose it is, and the context that its steps run in."""

    __slots__ = ("owner", "serial", "setting")

    def __init__(
        self,
        work: Coroutine[Any, Any, Any],
        *,
        loop: Any,
        name: str | None = None,
        context: Context | None = None,
    ) -> None:
        loop.serial += 1
        self.serial: int = loop.serial
        self.setting = copy_context() if context is None else context
        self.owner = self.setting.get(CURRENT)
        super().__init__(work, loop=loop, name=name or "task", context=self.setting)

    def __hash__(self) -> int:
        return self.serial

    def __repr__(self) -> str:
        """Say as little as will do: anyio asks for it whenever a scope is cancelled."""
        return f"<task {self.serial} {self.get_name()}>"


class SimHandle(msgspec.Struct, eq=False):
    """A callback that waits for its turn, or for its time: both of asyncio's handles in one.

    ``owner`` is the incarnation in whose context it was made. What shares a ``line`` runs in order:
    the steps of a task, whose line the task is, and the plain callbacks of an owner.
    """

    callback: Callable[..., object]
    args: tuple[Any, ...]
    context: Context
    at: float
    owner: Incarnation | None
    line: object
    gone: bool = False

    def cancel(self) -> None:
        """Never run it. What it held is let go of now."""
        self.gone = True
        self.args = ()
        self.callback = nothing
        self.line = self.owner

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.gone

    def when(self) -> float:
        """Return the virtual time at which it is due."""
        return self.at


def nothing() -> None:
    """What a cancelled handle calls."""
