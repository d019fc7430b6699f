"""A message's stay in one queue, and how the journal writes it down."""

from runtime.broker.messages import Message
from runtime.broker.records import Stored


class Entry:
    """A message's stay in one queue. ``position`` orders entries and names them in the journal."""

    __slots__ = ("count", "delivered", "expires_at", "message", "position", "stored")

    def __init__(self, position: int, message: Message, expires_at: float | None) -> None:
        self.position = position
        self.message = message
        self.expires_at = expires_at
        self.stored = False
        self.delivered = False
        self.count = 0

    def __lt__(self, other: "Entry") -> bool:
        return self.position < other.position


def stored(entry: Entry, queue: int, expires_at_ms: int | None) -> Stored:
    """The journal's record of an entry."""
    message = entry.message
    return Stored(
        entry.position,
        queue,
        message.exchange,
        message.routing_key,
        message.header,
        message.body,
        expires_at_ms,
        message.hidden_keys,
    )
