"""What a virtual loop hands out: tasks and futures with serial numbers, and handles.

Their hashes are their serial numbers, so that a set of them has one order, not that of addresses.
"""

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context
from typing import Any

from sim.incarnation import CURRENT


class SimFuture(asyncio.Future[Any]):
    """A future whose hash is its serial number, so that sets of futures have one order."""

    def __init__(self, *, loop: Any) -> None:
        super().__init__(loop=loop)
        loop.serial += 1
        self._serial: int = loop.serial

    def __hash__(self) -> int:
        return self._serial


class SimTask(asyncio.Task[Any]):
    """A task with a serial number that knows whose it is."""

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
        self.owner = CURRENT.get() if context is None else context.get(CURRENT)
        super().__init__(work, loop=loop, name=name or "task", context=context)

    def __hash__(self) -> int:
        return self.serial


class SimHandle:
    """A callback that waits for its turn, or for its time: both of asyncio's handles in one."""

    __slots__ = ("args", "at", "callback", "context", "gone")

    def __init__(
        self, callback: Callable[..., object], args: tuple[Any, ...], context: Context, at: float
    ) -> None:
        self.callback = callback
        self.args = args
        self.context = context
        self.at = at
        self.gone = False

    def cancel(self) -> None:
        """Never run it. What it held is let go of now."""
        self.gone = True
        self.args = ()
        self.callback = nothing

    def cancelled(self) -> bool:
        """Whether it was cancelled."""
        return self.gone

    def when(self) -> float:
        """Return the virtual time at which it is due."""
        return self.at


def nothing() -> None:
    """What a cancelled handle calls."""
