"""Exchanges and what they are bound to: a message's address in, names of queues out.

Routes are remembered per routing key and forgotten when a binding changes; a headers exchange looks
at every message. Queues get a message in the order of their names, as in RabbitMQ.
"""

from collections.abc import Iterator
from typing import Literal

import msgspec

from runtime.broker import tables
from runtime.broker.matching import BY_KEY, headers_match
from runtime.broker.messages import Message

Kind = Literal["queue", "exchange"]
TYPES = ("direct", "fanout", "topic", "headers")
PREDECLARED = (
    ("", "direct"),
    ("amq.direct", "direct"),
    ("amq.fanout", "fanout"),
    ("amq.headers", "headers"),
    ("amq.match", "headers"),
    ("amq.rabbitmq.trace", "topic"),
    ("amq.topic", "topic"),
)
ROUTES_REMEMBERED_MAX = 10_000


class Binding(msgspec.Struct, frozen=True):
    """An exchange's rule that sends messages on. ``arguments`` is the encoded table."""

    source: str
    kind: Kind
    destination: str
    key: str
    arguments: bytes = b""


class Exchange:
    """One exchange and its bindings, in the order they were made."""

    def __init__(
        self,
        name: str,
        type_: str,
        *,
        durable: bool,
        auto_delete: bool = False,
        internal: bool = False,
        arguments: tables.Entries | None = None,
    ) -> None:
        self.name = name
        self.type = type_
        self.durable = durable
        self.auto_delete = auto_delete
        self.internal = internal
        self.arguments = arguments or {}
        self.bindings: dict[Binding, None] = {}
        self._remembered: dict[str, list[Binding]] = {}
        alternate = self.arguments.get("alternate-exchange")
        self.alternate = None if alternate is None else tables.string(alternate)

    def bind(self, binding: Binding) -> bool:
        """Add a binding; False if it was there."""
        if binding in self.bindings:
            return False
        self.bindings[binding] = None
        self._remembered.clear()
        return True

    def unbind(self, binding: Binding) -> bool:
        """Remove a binding; False if it was not there."""
        self._remembered.clear()
        return self.bindings.pop(binding, False) is None

    def matching(self, message: Message) -> list[Binding]:
        """The bindings that take this message."""
        if self.type == "headers":
            headers = message.headers()
            return [one for one in self.bindings if headers_match(one.arguments, headers)]
        if not message.copies and not message.hidden_keys:
            return self._taking(message.routing_key)
        keys = message.routing_keys()
        return list(dict.fromkeys(one for key in keys for one in self._taking(key)))

    def _taking(self, key: str) -> list[Binding]:
        found = self._remembered.get(key)
        if found is None:
            takes = BY_KEY[self.type]
            found = [one for one in self.bindings if takes(one.key, key)]
            if len(self._remembered) >= ROUTES_REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = found
        return found


class Exchanges:
    """The exchanges of a virtual host. The default exchange binds every queue by its name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Exchange] = {}
        for name, type_ in PREDECLARED:
            internal = name == "amq.rabbitmq.trace"
            self.by_name[name] = Exchange(name, type_, durable=True, internal=internal)

    def queues(self, exchange: Exchange, message: Message) -> list[str]:
        """Names of the queues that get this message, each once, sorted."""
        if not exchange.name:
            if not message.copies and not message.hidden_keys:
                return [message.routing_key]
            return sorted(set(message.routing_keys()))
        bindings = exchange.matching(message)
        if len(bindings) == 1 and bindings[0].kind == "queue":
            return [bindings[0].destination]
        return sorted(self._followed(exchange, message))

    def _followed(self, first: Exchange, message: Message) -> set[str]:
        """Follow bindings between exchanges, and alternates where nothing else takes it."""
        found: set[str] = set()
        seen = {first.name}
        waiting = [first]
        while waiting:
            current = waiting.pop()
            bindings = current.matching(message)
            onward = [one.destination for one in bindings if one.kind == "exchange"]
            found.update(one.destination for one in bindings if one.kind == "queue")
            if not bindings and current.alternate is not None:
                onward = [current.alternate]
            for name in onward:
                exchange = self.by_name.get(name)
                if exchange is not None and name not in seen:
                    seen.add(name)
                    waiting.append(exchange)
        return found

    def with_destination(self, kind: Kind, name: str) -> Iterator[tuple[Exchange, Binding]]:
        """Every binding that leads to this queue or exchange."""
        for exchange in list(self.by_name.values()):
            for binding in list(exchange.bindings):
                if binding.kind == kind and binding.destination == name:
                    yield exchange, binding
