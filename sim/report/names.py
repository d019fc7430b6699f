"""Ids of the run, as people say them: which order of the plan, which message, which amount."""

import re
from collections.abc import Sequence

import msgspec

from sim.history import Answered, Sent
from sim.judges.observed import Commit

_ORDER_ID = re.compile(r"ord_[0-9A-Z]+")
_EVENT_ID = re.compile(r"evt_[0-9A-Z]+")
_NUMBER = re.compile(r"\bo(\d+)\b")
SERVICE_OF = {
    "orders.db": "order-events",
    "payment.db": "payment",
    "shipping.db": "shipping",
    "notification.db": "notification",
}


class Told(msgspec.Struct, frozen=True):
    """A message: its type without the version, and its order's number."""

    type: str
    order: int


class Names:
    """Which order of the plan an id belongs to. An order that nobody was told of has number 0."""

    def __init__(self, history: Sequence[Sent | Answered], commits: Sequence[Commit]) -> None:
        self.numbers: dict[str, int] = {}
        self.messages: dict[str, Told] = {}
        for entry in history:
            placed = isinstance(entry, Answered) and entry.command.endswith("-place")
            if placed and isinstance(entry, Answered) and 200 <= entry.status < 300:
                self.numbers[entry.body["id"]] = number_of(entry.command)
        for commit in commits:
            if commit.table == "events" and commit.verb == "insert":
                values = commit.values
                told = Told(values["type"], self.order(values["stream"]))
                self.messages[values["event_id"]] = told

    def order(self, order_id: str) -> int:
        """Return the number of an order, by its id or anything that begins with it."""
        found = _ORDER_ID.match(order_id)
        return 0 if found is None else self.numbers.get(found[0], 0)

    def order_in(self, text: str) -> int:
        """Return the order that a text speaks of, 0 if none."""
        for order_id in _ORDER_ID.findall(text):
            if order_id in self.numbers:
                return self.numbers[order_id]
        for event_id in _EVENT_ID.findall(text):
            if self.message(event_id).order:
                return self.message(event_id).order
        named = _NUMBER.search(text)
        return int(named[1]) if named and int(named[1]) in self.numbers.values() else 0

    def plain(self, text: str) -> str:
        """Return a text with the orders' ids as people read them."""
        return _ORDER_ID.sub(
            lambda found: f"o{self.numbers[found[0]]}" if found[0] in self.numbers else found[0],
            text,
        )

    def message(self, message_id: str) -> Told:
        """Return what is known of a message."""
        return self.messages.get(message_id, Told(message_id[:12], 0))


def number_of(command: str) -> int:
    """Return the order's number in a command's name (``o7-cancel0``)."""
    return int(command.partition("-")[0].removeprefix("o"))


def money(amount: object, currency: object = "EUR") -> str:
    """Return an amount in minor units as people write it."""
    return f"{int(str(amount)) / 100:.2f} {currency}"


def lasted(seconds: float) -> str:
    """Return a duration in few characters."""
    if seconds < 1.0:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.1f} s" if seconds < 100 else f"{seconds:.0f} s"
