"""What every queue does: take messages, hold them for a while, let them go, and count.

The two types differ in who gets the next message and in what happens to one that comes back; they
stand in `classic` and `quorum`. Lifetimes are checked at the head only, so an expired message may
wait behind a live one, as in RabbitMQ 3.10.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from runtime.broker import tables
from runtime.broker.arguments import QueueOptions
from runtime.broker.backlog import Backlog
from runtime.broker.consumer import Consumer, Held, Receiver, Settlement
from runtime.broker.entry import Entry, stored
from runtime.broker.errors import locked_queue
from runtime.broker.messages import Message
from runtime.broker.records import Recorder, Removed


class Surroundings(Protocol):
    """What a queue needs of its virtual host."""

    name: str
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
        """Call the queue's `woken` at this time."""
        ...

    def bury(self, queue: "Queue", entry: Entry, reason: str) -> None:
        """Dead-letter an entry, after what caused it has been routed."""
        ...

    def drop_queue(self, queue: "Queue") -> None:
        """The queue is to go."""
        ...


class QueueStatistics(msgspec.Struct, frozen=True):
    """Counts of one queue. ``undeliverable`` dead letters wait for a route (at-least-once)."""

    name: str
    ready: int
    ready_bytes: int
    unacked: int
    consumers: int
    undeliverable: int


class Got(msgspec.Struct, frozen=True):
    """What a basic.get found; ``left`` messages are ready behind it."""

    entry: Entry
    redelivered: bool
    left: int


def assert_access(queue: "Queue", user: object, vhost: str) -> None:
    """405 where the queue belongs to another connection."""
    if queue.owner is not None and queue.owner is not user:
        raise locked_queue(queue.name, vhost)


class Queue(ABC):
    """A queue of one virtual host."""

    is_quorum = False

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
        """``owner`` is the connection of an exclusive queue."""
        self.name = name
        self.number = number
        self.durable = durable and owner is None
        self.owner = owner
        self.auto_delete = auto_delete
        self.arguments = arguments or {}
        self.options = options or QueueOptions()
        self.deleted = False
        self.used_at = around.now()
        self.unacked = 0
        self.delivered_through = 0
        self.undeliverable = 0
        self.undeliverable_bytes = 0
        self._around = around
        self._ready = self._backlog()
        self._bytes = 0
        self._are_mortal = False
        self._woken_at: float | None = None

    def __len__(self) -> int:
        return len(self._ready)

    def __iter__(self) -> Iterator[Entry]:
        """What is ready, in the order of delivery."""
        return iter(self._ready)

    @property
    @abstractmethod
    def consumer_count(self) -> int:
        """How many consumers queue.declare-ok counts."""

    @abstractmethod
    def consumers(self) -> list[Consumer]:
        """All consumers."""

    def statistics(self) -> QueueStatistics:
        """What is in the queue now."""
        counts = (self.unacked, self.consumer_count, self.undeliverable)
        return QueueStatistics(self.name, len(self), self._bytes, *counts)

    def head_timestamp(self) -> int | None:
        """The ``timestamp`` of the message that is next; None without a message, or one on it."""
        head = self._ready.head()
        return None if head is None else head.message.timestamp

    # -- what the types decide --------------------------------------------------------------------

    @abstractmethod
    def _backlog(self) -> Backlog:
        """An empty backlog in the order of this type."""

    @abstractmethod
    def publish(self, message: Message, sender: object | None = None) -> bool:
        """Take a message; False if the queue is full and refuses (``reject-publish``).

        ``sender`` is who would be told: a channel, or whoever forwards dead letters and retries.
        """

    @abstractmethod
    def consume(self, consumer: Consumer) -> None:
        """Take up a consumer that `check_consumer` has let through, and serve it."""

    @abstractmethod
    def check_consumer(self, consumer: Consumer) -> None:
        """BrokerError for a consumer that the queue cannot have."""

    @abstractmethod
    def cancel(self, consumer: Consumer) -> None:
        """A consumer goes; it keeps what it holds."""

    @abstractmethod
    def get(self, channel: Receiver, tag: int, *, no_ack: bool) -> Got | None:
        """Hand out the head; None if there is nothing."""

    @abstractmethod
    def settled(self, channel: Receiver, helds: Sequence[Held], how: Settlement) -> None:
        """One consumer, or one get, of this channel has settled these, in order of delivery."""

    @abstractmethod
    def channel_closed(self, channel: Receiver, helds: Sequence[Held]) -> None:
        """A channel ends: its consumers go, what it holds comes back."""

    @abstractmethod
    def has_room(self, channel: Receiver) -> None:
        """The channel's connection takes deliveries again."""

    @abstractmethod
    def restore(self, entry: Entry) -> None:
        """Put back an entry that the journal kept; entries come in order of their positions."""

    @abstractmethod
    def sender_closed(self, sender: object) -> None:
        """A sender will publish no more."""

    def lifetime_ms(self, message: Message) -> int | None:
        """Return how long a message may wait here, by its own expiration and the queue's TTL."""
        own, ours = message.expiration_ms, self.options.ttl_ms
        return own if ours is None else ours if own is None else min(own, ours)

    # -- in and out -------------------------------------------------------------------------------

    def _new_entry(self, message: Message, lifetime_ms_min: int = 0) -> Entry:
        """Make an entry, and note it for the journal."""
        around = self._around
        lifetime_ms = self.lifetime_ms(message)
        expires_at = None
        if lifetime_ms is not None:
            lifetime_ms = max(lifetime_ms, lifetime_ms_min)
            expires_at = around.now() + lifetime_ms / 1000
            self._are_mortal = True
        entry = Entry(around.next_position(), message, expires_at)
        if self.durable and (message.persistent or self.is_quorum):
            entry.stored = True
            until_ms = None if lifetime_ms is None else around.wall_ms() + lifetime_ms
            around.recorder.note(stored(entry, self.number, until_ms))
        return entry

    def _append(self, entry: Entry) -> None:
        self._are_mortal = self._are_mortal or entry.expires_at is not None
        self._ready.append(entry)
        self._bytes += len(entry.message.body)

    def _put_back(self, entry: Entry) -> None:
        self._ready.put_back(entry)
        self._bytes += len(entry.message.body)

    def _take(self) -> Entry:
        entry = self._ready.take()
        self._bytes -= len(entry.message.body)
        return entry

    def _over(self, more: int = 0, more_bytes: int = 0) -> bool:
        length_max, bytes_max = self.options.length_max, self.options.bytes_max
        return (length_max is not None and len(self._ready) + more > length_max) or (
            bytes_max is not None and self._bytes + more_bytes > bytes_max
        )

    def _drop_overflow(self) -> bool:
        """Drop heads until the limits are kept; whether there were any to drop."""
        if not self.options.drops_head or not self._over():
            return False
        while self._ready and self._over():
            self.discard(self._take(), "maxlen")
        return True

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
        count = len(self._ready)
        while self._ready:
            self.remove(self._take())
        return count

    def dead_letter_waits(self, entry: Entry, step: int) -> None:
        """A dead letter waits for its onward journey (``step`` 1), or no longer (-1)."""
        self.undeliverable += step
        self.undeliverable_bytes += step * len(entry.message.body)

    # -- time -------------------------------------------------------------------------------------

    def expire(self) -> None:
        """Dead-letter what has outlived its time at the head, and ask to be woken for the next."""
        if not self._are_mortal:
            return
        while (head := self._ready.head()) is not None and head.expires_at is not None:
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

    def declared(self) -> None:
        """Somebody has declared the queue, again or passively."""
        self.used()
        self.expire()

    def used(self) -> None:
        """The queue is in use: an ``x-expires`` counts from now."""
        self.used_at = self._around.now()
