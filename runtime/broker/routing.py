"""Exchanges and what they are bound to: a message's address in, names of queues out.

Routes are remembered per routing key and forgotten when a binding changes; a headers exchange looks
at every message. Order of destinations is the order of binding, so that two runs agree.
"""

from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from runtime.broker import tables
from runtime.broker.errors import PRECONDITION_FAILED, BrokerError
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
_MATCHES = ("all", "any", "all-with-x", "any-with-x")


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
        key = message.routing_key
        found = self._remembered.get(key)
        if found is None:
            found = [one for one in self.bindings if _MATCHERS[self.type](one.key, key)]
            if len(self._remembered) >= ROUTES_REMEMBERED_MAX:
                self._remembered.clear()
            self._remembered[key] = found
        return found


def topic_matches(pattern: str, key: str) -> bool:
    """Whether a topic pattern takes a routing key: ``*`` is one word, ``#`` any number of them.

    An empty key has no words at all. Linear walk with one point of return, so that no pattern can
    make it slow.

    >>> topic_matches("order.#", "order"), topic_matches("order.*", "order")
    (True, False)
    """
    patterns, words = _words(pattern), _words(key)
    at, word = 0, 0
    resume_at, resume_word = -1, 0
    while word < len(words):
        if at < len(patterns) and patterns[at] == "#":
            resume_at, resume_word = at, word
            at += 1
        elif at < len(patterns) and patterns[at] in ("*", words[word]):
            at += 1
            word += 1
        elif resume_at >= 0:
            resume_word += 1
            at, word = resume_at + 1, resume_word
        else:
            return False
    return all(rest == "#" for rest in patterns[at:])


def _words(text: str) -> list[str]:
    return text.split(".") if text else []


def headers_match(arguments: bytes, headers: tables.Entries) -> bool:
    """Whether a headers binding takes these headers. A value of void asks for presence only."""
    wanted = tables.entries(arguments)
    mode = tables.string(wanted.pop("x-match", tables.text("all")))
    if not mode.endswith("-with-x"):
        wanted = {name: value for name, value in wanted.items() if not name.startswith("x-")}
    hits = (_same(value, headers.get(name)) for name, value in wanted.items())
    return any(hits) if mode.startswith("any") else all(hits)


def check_headers_binding(arguments: tables.Entries) -> None:
    """Refuse a headers binding whose ``x-match`` says something else than RabbitMQ knows."""
    match = arguments.get("x-match")
    if match is not None and tables.string(match) not in _MATCHES:
        raise BrokerError(
            PRECONDITION_FAILED,
            f'Invalid x-match field value <<"{tables.string(match)}">>; '
            "expected all, any, all-with-x, or any-with-x",
        )


def _same(wanted: bytes, value: bytes | None) -> bool:
    # RabbitMQ compares types, too: a byte is not a long.
    return value is not None and (tables.type_name(wanted) == "void" or wanted == value)


def _direct(key: str, routing_key: str) -> bool:
    return key == routing_key


def _fanout(key: str, routing_key: str) -> bool:
    return True


_MATCHERS: dict[str, Callable[[str, str], bool]] = {
    "direct": _direct,
    "fanout": _fanout,
    "topic": topic_matches,
}


class Exchanges:
    """The exchanges of a virtual host. The default exchange binds every queue by its name."""

    def __init__(self) -> None:
        self.by_name: dict[str, Exchange] = {}
        for name, type_ in PREDECLARED:
            internal = name == "amq.rabbitmq.trace"
            self.by_name[name] = Exchange(name, type_, durable=True, internal=internal)

    def queues(self, exchange: Exchange, message: Message) -> list[str]:
        """Names of the queues that get this message, each once, in order of their bindings."""
        if not exchange.name:
            return [message.routing_key]
        found: dict[str, None] = {}
        seen: dict[str, None] = {exchange.name: None}
        waiting = [exchange]
        while waiting:
            current = waiting.pop(0)
            bindings = current.matching(message)
            if not bindings and current.alternate is not None:
                waiting += self._unseen(current.alternate, seen)
            for binding in bindings:
                if binding.kind == "queue":
                    found[binding.destination] = None
                else:
                    waiting += self._unseen(binding.destination, seen)
        return list(found)

    def _unseen(self, name: str, seen: dict[str, None]) -> list[Exchange]:
        exchange = self.by_name.get(name)
        if exchange is None or name in seen:
            return []
        seen[name] = None
        return [exchange]

    def with_destination(self, kind: Kind, name: str) -> Iterator[tuple[Exchange, Binding]]:
        """Every binding that leads to this queue or exchange."""
        for exchange in list(self.by_name.values()):
            for binding in list(exchange.bindings):
                if binding.kind == kind and binding.destination == name:
                    yield exchange, binding
