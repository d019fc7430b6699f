"""A few turns at a time; each passes, with what it holds, to whoever has waited longest."""

from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

import anyio

T = TypeVar("T")


class _Waiting(Generic[T]):
    __slots__ = ("come", "left")

    def __init__(self) -> None:
        self.come = anyio.Event()
        self.left: T | None = None


class Turns(Generic[T]):
    """``count`` turns; ``close`` ends a thing that was left to somebody who went away instead."""

    def __init__(self, count: int, close: Callable[[T], None]) -> None:
        self._free = count
        self._close = close
        self._waiting: deque[_Waiting[T]] = deque()

    @property
    def wanted(self) -> bool:
        """Whether somebody waits: what is passed on now is used at once."""
        return bool(self._waiting)

    async def take(self) -> T | None:
        """Wait for a turn; return what the one before has left. `pass_on` must follow."""
        if self._free:
            self._free -= 1
            return None
        waiting: _Waiting[T] = _Waiting()
        self._waiting.append(waiting)
        try:
            await waiting.come.wait()
        except BaseException:
            if waiting.come.is_set():
                self.pass_on(waiting.left)
            else:
                self._waiting.remove(waiting)
            raise
        return waiting.left

    def pass_on(self, left: T | None) -> None:
        """End a turn, and leave something to the next one. Nobody waits: it is closed."""
        if self._waiting:
            waiting = self._waiting.popleft()
            waiting.left = left
            waiting.come.set()
            return
        self._free += 1
        if left is not None:
            self._close(left)
