"""A prefetch that the consumers of one channel share (``basic.qos`` with global).

RabbitMQ's rabbit_limiter.erl: it counts what went out to consumers of classic queues; a queue that
is refused waits until the count has fallen below the limit, and then takes its turn again.
"""

from typing import Protocol


class Waiting(Protocol):
    """A queue's part of the channel that was refused."""

    def resume(self) -> None:
        """There is room again."""
        ...


class Limiter:
    """The shared prefetch of one channel; ``limit`` 0 means none."""

    def __init__(self) -> None:
        self.limit = 0
        self._out = 0
        self._waiting: dict[Waiting, None] = {}

    def admit(self, waiting: Waiting, *, counted: bool) -> bool:
        """Whether one more may go out; if not, ``waiting`` is resumed later."""
        if self._is_full():
            self._waiting[waiting] = None
            return False
        self._out += counted
        return True

    def restrict(self, limit: int, held: int) -> None:
        """Set the limit; ``held`` is what the client has now, for the first limit after none."""
        was_full = self._is_full()
        if not self.limit:
            self._out = held
        self.limit = limit
        self._resume_if(was_full)

    def lift(self) -> None:
        """No limit any more."""
        self.limit = self._out = 0
        self._resume_if(True)

    def settled(self, count: int) -> None:
        """The client has settled so many deliveries of consumers."""
        if self.limit and self._out:
            was_full = self._is_full()
            self._out -= count
            self._resume_if(was_full)

    def forget(self, waiting: Waiting) -> None:
        """This one waits no longer."""
        self._waiting.pop(waiting, None)

    def _is_full(self) -> bool:
        return self.limit > 0 and self._out >= self.limit

    def _resume_if(self, was_full: bool) -> None:
        if was_full and not self._is_full():
            resumed, self._waiting = self._waiting, {}
            for waiting in resumed:
                waiting.resume()
