"""Whom a quorum queue serves next, and what it knows of them (RabbitMQ's rabbit_fifo.erl).

A basic.get is a consumer that lives for one message, and a cancelled consumer lives on while it
holds something: queue.declare-ok counts both, as RabbitMQ does.
"""

from collections import deque

from runtime.broker.consumer import Consumer, Receiver

Key = tuple[Receiver, str]
PREFETCH_UNLIMITED = 2000  # what a prefetch of 0 means on a quorum queue


class Subscription:
    """Somebody who holds messages of the queue, or may get some."""

    __slots__ = ("cancelled", "consumer", "credit", "key", "once", "out", "priority")

    def __init__(self, key: Key, consumer: Consumer | None) -> None:
        """``consumer`` is None for a basic.get."""
        self.key = key
        self.consumer = consumer
        self.credit = 0
        self.priority = 0
        self.out = 0
        self.once = consumer is None
        self.cancelled = False
        if consumer is not None:
            self.take_over(consumer)

    def take_over(self, consumer: Consumer) -> None:
        """A consumer of the same tag comes (back); what is out counts against its prefetch."""
        self.consumer = consumer
        self.credit = max(0, (consumer.prefetch or PREFETCH_UNLIMITED) - self.out)
        self.priority = consumer.priority
        self.once = self.cancelled = False

    def cancel(self) -> None:
        """No more messages for this one."""
        self.once = self.cancelled = True
        self.credit = 0

    def settled(self, count: int) -> None:
        """So many have been settled."""
        self.out -= count
        self.earn(count)

    def earn(self, count: int) -> None:
        """So many more may be sent."""
        if not self.once:
            self.credit += count


class ServiceQueue:
    """Keys of those who may get a message, highest priority first, each once."""

    def __init__(self) -> None:
        self._lines: dict[int, deque[Key]] = {}
        self._ordered: list[deque[Key]] = []
        self._members: set[Key] = set()

    def add(self, subscription: Subscription) -> None:
        """Queue up, unless it is queued or may get nothing."""
        key = subscription.key
        if subscription.credit <= 0 or subscription.cancelled or key in self._members:
            return
        self._members.add(key)
        line = self._lines.get(subscription.priority)
        if line is None:
            line = self._lines[subscription.priority] = deque()
            self._ordered = [self._lines[one] for one in sorted(self._lines, reverse=True)]
        line.append(key)

    def head(self) -> Key | None:
        """The next one; it may be gone by now."""
        for line in self._ordered:
            if line:
                return line[0]
        return None

    def take(self) -> None:
        """Remove the next one."""
        line = next(line for line in self._ordered if line)
        self._members.discard(line.popleft())
