"""What a virtual loop hands out: tasks with serial numbers, and handles.

A task's hash is its serial number, so that a set of tasks has one order, not that of addresses.
Futures are asyncio's own: to await an instance of a subclass takes a slower path through asyncio,
and nobody iterates over a set of futures that is not ordered otherwise (see `sim.guard`).
"""

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

import msgspec

from sim.incarnation import CURRENT

_start = asyncio.Task.__init__


class SimTask(asyncio.Task[Any]):
    """A task with a serial number that knows whose it is, and the context that its steps run in."""

    __slots__ = ("owner", "serial", "setting")

    def __init__(self, work: Coroutine[Any, Any, Any], loop: Any, name: str, setting: Context):
        loop.serial += 1
        self.serial: int = loop.serial
        self.owner = setting.get(CURRENT)
        self.setting = setting
        _start(self, work, loop=loop, name=name, context=setting)

    def __hash__(self) -> int:
        return self.serial

    def __repr__(self) -> str:
        """Say as little as will do: anyio asks for it whenever a scope is cancelled."""
        return f"<task {self.serial} {self.get_name()}>"


class SimHandle(msgspec.Struct, eq=False):
    """A callback that waits for its turn, or for its time: both of asyncio's handles in one.

    ``call`` is the callback and what it is called with; empty: it was cancelled. What shares a
    ``line`` runs in order: the steps of a task, whose line the task is, and the plain callbacks of
    an owner, which is the incarnation in whose context they were made.
    """

    call: tuple[Any, ...]
    context: Context
    line: Any
    at: float = 0.0

    def cancel(self) -> None:
        """Never run it. What it held is let go of now."""
        self.call = ()
        self.line = None

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return not self.call

    def when(self) -> float:
        """Return the virtual time at which it is due."""
        return self.at
