"""Long polls: whoever waits for an order's next event is woken by its commit, without polling."""

from collections.abc import Iterator
from contextlib import contextmanager

import anyio

from runtime.errors import Unavailable

ALL = ""


class Wakeups:
    """Watchers by order id, or of `ALL` orders; at most ``watchers_max``."""

    def __init__(self, watchers_max: int = 1000) -> None:
        self._watchers: dict[str, dict[anyio.Event, None]] = {}
        self._watchers_max = watchers_max
        self._closed = False
        self.watching = 0

    @contextmanager
    def watch(self, order_id: str) -> Iterator[anyio.Event]:
        """Give an event that is set by the next commit of this order.

        Watch before the first look, or a commit between the look and the wait is missed. Raises
        `Unavailable` when too many watch already.
        """
        if self.watching >= self._watchers_max:
            raise Unavailable("too many long polls wait already", retry_after_s=1.0)
        committed = anyio.Event()
        if self._closed:
            committed.set()
        self._watchers.setdefault(order_id, {})[committed] = None
        self.watching += 1
        try:
            yield committed
        finally:
            self.watching -= 1
            watchers = self._watchers.get(order_id, {})
            watchers.pop(committed, None)
            if not watchers:
                self._watchers.pop(order_id, None)

    def notify(self, order_id: str) -> None:
        """Wake those who watch this order, and those who watch all."""
        for watched in (order_id, ALL):
            for committed in self._watchers.get(watched, ()):
                committed.set()

    def close(self) -> None:
        """Wake everybody, now and from now on: nobody waits while the service stops."""
        self._closed = True
        for watchers in self._watchers.values():
            for committed in watchers:
                committed.set()
