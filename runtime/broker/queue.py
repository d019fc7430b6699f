"""One queue: what is ready, what came back, what is out, and whose turn it is.

Two types, as in RabbitMQ 3.10. *Classic*: a message that comes back takes its old place. *Quorum*:
returns are counted (``x-delivery-count``, ``x-delivery-limit``); with a limit they are served
before everything else in the order of their return, without one they go to the back.
Lifetimes are checked at the head only, so an expired message may wait behind a live one.
"""

import heapq
from collections import deque
from typing import Protocol

import msgspec

from runtime.broker import tables
from runtime.broker.arguments import QueueOptions
from runtime.broker.entry import Entry, stored
from runtime.broker.messages import Message
from runtime.broker.records import Counted, Recorder, Removed


class Consumer(Protocol):
    """Who takes messages off a queue."""

    tag: str
    exclusive: bool

    def can_take(self) -> bool:
        """Whether prefetch, flow and the connection's buffer have room for one more."""
        ...

    def deliver(self, entry: Entry, *, redelivered: bool) -> None:
        """Send the message to the client."""
        ...

    def cancelled_by_broker(self) -> None:
        """The queue is gone."""
        ...


class Surroundings(Protocol):
    """What a queue needs of its virtual host."""

    recorder: Recorder

    def now(self) -> float:
        """Monotonic seconds."""
        ...

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        ...

    def next_position(self) -> int:
        """A number larger than every one before."""
        ...

    def wake_at(self, when: float, queue: "Queue") -> None:
        """Call the queue's `expire` at this time."""
        ...

    def bury(self, queue: "Queue", entry: Entry, reason: str) -> None:
        """Dead-letter an entry, after what caused it has been routed."""
        ...


class QueueStatistics(msgspec.Struct, frozen=True):
    """Counts of one queue. ``undeliverable`` dead letters wait for a route (at-least-once)."""

    name: str
    ready: int
    ready_bytes: int
    unacked: int
    consumers: int
    undeliverable: int


class Queue:
    """A queue of one virtual host."""

    def __init__(
        self,
        around: Surroundings,
        name: str,
        *,
        number: int,
        durable: bool = False,
        owner: object | None = None,
        auto_delete: bool = False,
        arguments: tables.Entries | None = None,
        options: QueueOptions | None = None,
    ) -> None:
        self.name = name
        self.number = number
        self.durable = durable
        self.owner = owner
        self.auto_delete = auto_delete
        self.arguments = arguments or {}
        self.options = options or QueueOptions()
        self.is_quorum = self.options.type == "quorum"
        self.journalled = durable and owner is None
        self.consumers: list[Consumer] = []
        self.deleted = False
        self.used_at = around.now()
        self.unacked = 0
        self.delivered_through = 0
        self.undeliverable: list[tuple[Entry, str]] = []
        self._around = around
        self._ready: deque[Entry] = deque()
        self._returned: deque[Entry] = deque()
        self._returned_by_position: list[Entry] = []
        self._bytes = 0
        self._woken_at: float | None = None

    def __len__(self) -> int:
        return len(self._ready) + len(self._returned) + len(self._returned_by_position)

    def statistics(self) -> QueueStatistics:
        """What is in the queue now."""
        counts = (self.unacked, len(self.consumers), len(self.undeliverable))
        return QueueStatistics(self.name, len(self), self._bytes, *counts)

    # -- in ---------------------------------------------------------------------------------------

    def publish(self, message: Message) -> bool:
        """Take a message; False if the queue is full and refuses (``reject-publish``)."""
        if self._refuses(message):
            if self.options.overflow == "reject-publish-dlx":
                self._around.bury(self, Entry(0, message, None), "maxlen")
            return False
        was_empty = not len(self)
        entry = self._append(message)
        # A waiting consumer beats even a lifetime of zero.
        self.pump(expire=not was_empty)
        if entry.expires_at is not None:
            self.expire()
        self._drop_overflow()
        return True

    def restore(self, entry: Entry) -> None:
        """Put back an entry that the journal kept; entries come in order of their positions."""
        entry.stored = True
        if entry.delivered and self.is_quorum:
            entry.count = max(entry.count, 1)
        self._ready.append(entry)
        self._bytes += len(entry.message.body)

    def _append(self, message: Message) -> Entry:
        lifetimes = [self.options.ttl_ms, message.expiration_ms]
        limits = [lifetime for lifetime in lifetimes if lifetime is not None]
        expires_at = self._around.now() + min(limits) / 1000 if limits else None
        entry = Entry(self._around.next_position(), message, expires_at)
        if self.journalled and (message.persistent or self.is_quorum):
            entry.stored = True
            expires_at_ms = self._around.wall_ms() + min(limits) if limits else None
            self._around.recorder.note(stored(entry, self.number, expires_at_ms))
        self._ready.append(entry)
        self._bytes += len(message.body)
        return entry

    def _refuses(self, message: Message) -> bool:
        if self.options.overflow == "drop-head":
            return False
        # A classic queue looks ahead; a quorum queue notices only once it is over its limit.
        ahead = 0 if self.is_quorum else 1
        return self._over(len(self.undeliverable) + ahead, ahead * len(message.body))

    def _over(self, more: int, more_bytes: int) -> bool:
        length_max, bytes_max = self.options.length_max, self.options.bytes_max
        return (length_max is not None and len(self) + more > length_max) or (
            bytes_max is not None and self._bytes + more_bytes > bytes_max
        )

    def _drop_overflow(self) -> None:
        if self.options.overflow == "drop-head":
            while len(self) and self._over(0, 0):
                self.discard(self._take(), "maxlen")

    # -- out --------------------------------------------------------------------------------------

    def pump(self, *, expire: bool = True) -> None:
        """Hand out what is ready while a consumer has room."""
        if not self.consumers:
            return
        if expire:
            self.expire()
        while len(self):
            consumer = self._next_consumer()
            if consumer is None:
                return
            entry = self._take()
            redelivered = self._hand_out(entry)
            consumer.deliver(entry, redelivered=redelivered)
            self.expire()

    def get(self) -> tuple[Entry, bool] | None:
        """Hand out the head (and whether it was out before); None if there is nothing."""
        self.expire()
        if not len(self):
            return None
        entry = self._take()
        redelivered = self._hand_out(entry)
        self.expire()  # what is left is counted without what has just died
        return entry, redelivered

    def _hand_out(self, entry: Entry) -> bool:
        redelivered = entry.count > 0 if self.is_quorum else entry.delivered
        entry.delivered = True
        self.unacked += 1
        if entry.stored and entry.position > self.delivered_through:
            self.delivered_through = entry.position
            self._around.recorder.note_delivery(self)
        return redelivered

    def _next_consumer(self) -> Consumer | None:
        if self.options.single_active:
            return self.consumers[0] if self.consumers[0].can_take() else None
        for index, consumer in enumerate(self.consumers):
            if consumer.can_take():
                self.consumers.append(self.consumers.pop(index))
                return consumer
        return None

    def _head(self) -> Entry | None:
        for waiting in (self._returned, self._returned_by_position, self._ready):
            if waiting:
                return waiting[0]
        return None

    def _take(self) -> Entry:
        if self._returned:
            entry = self._returned.popleft()
        elif self._returned_by_position:
            entry = heapq.heappop(self._returned_by_position)
        else:
            entry = self._ready.popleft()
        self._bytes -= len(entry.message.body)
        return entry

    # -- settled ----------------------------------------------------------------------------------

    def acked(self, entry: Entry) -> None:
        """A consumer is done with the entry."""
        self.unacked -= 1
        self.remove(entry)

    def rejected(self, entry: Entry) -> None:
        """A consumer does not want the entry, and nobody else shall have it."""
        self.unacked -= 1
        self.discard(entry, "rejected")

    def returned(self, entry: Entry, *, by_consumer: bool) -> None:
        """The entry comes back; ``by_consumer`` where it asked for it, else its channel ended.

        The caller pumps the queue once everything is back.
        """
        self.unacked -= 1
        if self.deleted:
            return
        if self.is_quorum:
            self._count(entry)
            limit = self.options.delivery_limit
            if limit is not None and entry.count > limit:
                self.discard(entry, "delivery_limit")
                return
            if limit is None and by_consumer:
                self._move_to_back(entry)
            else:
                self._returned.append(entry)
        else:
            heapq.heappush(self._returned_by_position, entry)
        self._bytes += len(entry.message.body)
        self._drop_overflow()

    def discard(self, entry: Entry, reason: str) -> None:
        """Dead-letter the entry where there is a dead letter exchange, else drop it."""
        if self.deleted:
            return
        if self.options.dead_letter_exchange is None:
            self.remove(entry)
        else:
            self._around.bury(self, entry, reason)

    def remove(self, entry: Entry) -> None:
        """The entry is gone for good."""
        if entry.stored and not self.deleted:
            self._around.recorder.note(Removed(entry.position))

    def purge(self) -> int:
        """Drop everything that is ready; return how much that was."""
        count = len(self)
        while len(self):
            self.remove(self._take())
        return count

    def _count(self, entry: Entry) -> None:
        entry.count += 1
        if entry.stored:
            self._around.recorder.note(Counted(entry.position, entry.count))

    def _move_to_back(self, entry: Entry) -> None:
        recorder = self._around.recorder
        old, entry.position = entry.position, self._around.next_position()
        if entry.stored:
            recorder.note(Removed(old))
            left_ms = None
            if entry.expires_at is not None:
                left_ms = int((entry.expires_at - self._around.now()) * 1000)
            expires_at_ms = None if left_ms is None else self._around.wall_ms() + left_ms
            recorder.note(stored(entry, self.number, expires_at_ms))
            recorder.note(Counted(entry.position, entry.count))
        self._ready.append(entry)

    # -- time -------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Dead-letter what has outlived its time at the head, and ask to be woken for the next."""
        while (head := self._head()) is not None and head.expires_at is not None:
            if head.expires_at > self._around.now():
                if self._woken_at is None or head.expires_at < self._woken_at:
                    self._woken_at = head.expires_at
                    self._around.wake_at(head.expires_at, self)
                return
            self.discard(self._take(), "expired")

    def woken(self) -> None:
        """The time asked for has come."""
        self._woken_at = None
        if not self.deleted:
            self.expire()
