"""A consumer, a delivery that is not settled, and what a queue must know of their channel."""

from typing import TYPE_CHECKING, Literal, Protocol

from runtime.broker.entry import Entry
from runtime.broker.limiter import Limiter

if TYPE_CHECKING:
    from runtime.broker.queue import Queue

Settlement = Literal["ack", "reject", "requeue"]


class Receiver(Protocol):
    """A channel, as the queues see it that deliver to it."""

    limiter: Limiter

    def has_room(self) -> bool:
        """Whether its connection's buffer takes more deliveries; if not, it says so later."""
        ...

    def deliver(self, consumer: "Consumer", entry: Entry, *, redelivered: bool) -> None:
        """Send a message to the client."""
        ...

    def cancelled_by_broker(self, consumer: "Consumer") -> None:
        """The queue is gone."""
        ...


class Consumer:
    """Who takes messages off a queue. ``prefetch`` 0 means no limit."""

    __slots__ = ("channel", "credit", "exclusive", "no_ack", "prefetch", "priority", "queue", "tag",
                 "tag_bytes")  # fmt: skip

    def __init__(
        self,
        channel: Receiver,
        queue: "Queue",
        tag: str,
        *,
        no_ack: bool = False,
        exclusive: bool = False,
        prefetch: int = 0,
        priority: int = 0,
    ) -> None:
        self.channel = channel
        self.queue = queue
        self.tag = tag
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.prefetch = prefetch
        self.priority = priority
        # How many more a classic queue may send it; None without a limit.
        self.credit = None if no_ack or not prefetch else prefetch
        raw = tag.encode()
        self.tag_bytes = bytes((len(raw),)) + raw


class Held:
    """A delivery that is not settled yet. ``consumer`` is None where a basic.get fetched it."""

    __slots__ = ("consumer", "delivered_at", "entry", "queue", "tag")

    def __init__(
        self, tag: int, queue: "Queue", entry: Entry, consumer: Consumer | None, delivered_at: float
    ) -> None:
        self.tag = tag
        self.queue = queue
        self.entry = entry
        self.consumer = consumer
        self.delivered_at = delivered_at
