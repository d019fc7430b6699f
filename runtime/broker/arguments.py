"""Which x-arguments a queue or consumer takes, and when two declarations agree (RabbitMQ 3.10.8).

Tables: how to check a value, and which arguments belong to which type of queue; those are also the
queue's identity, in this order. Arguments that RabbitMQ does not know are taken and ignored.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

from runtime.broker import argument_checks as checks
from runtime.broker import tables
from runtime.broker.argument_checks import Check
from runtime.broker.errors import PRECONDITION_FAILED, BrokerError
from runtime.broker.tables import Entries

QueueType = Literal["classic", "quorum"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]

_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_STRATEGIES = ("at-most-once", "at-least-once")
_MODES = ("default", "lazy")
_LOCATORS = ("client-local", "balanced", "random", "least-leaders")


class QueueOptions(msgspec.Struct, frozen=True, kw_only=True):
    """The arguments of a queue, read. Times in milliseconds; None where not limited."""

    type: QueueType = "classic"
    ttl_ms: int | None = None
    expires_ms: int | None = None
    length_max: int | None = None
    bytes_max: int | None = None
    overflow: Overflow = "drop-head"
    dead_letter_exchange: str | None = None
    dead_letter_key: str | None = None
    at_least_once: bool = False
    delivery_limit: int | None = None
    single_active: bool = False
    priority_max: int = 0

    @property
    def is_limited(self) -> bool:
        """Whether there is a limit on what may be ready."""
        return self.length_max is not None or self.bytes_max is not None

    @property
    def refuses(self) -> bool:
        """Whether a full queue refuses publishes."""
        return self.overflow != "drop-head" and self.is_limited

    @property
    def drops_head(self) -> bool:
        """Whether a full queue drops its head."""
        return self.overflow == "drop-head" and self.is_limited


class QueueDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a queue.declare that make a queue."""

    name: str
    durable: bool
    exclusive: bool
    auto_delete: bool
    arguments: Entries


_DECLARE: Mapping[str, Check] = {
    "x-expires": checks.positive_duration,
    "x-message-ttl": checks.duration,
    "x-dead-letter-exchange": checks.of_type("longstr"),
    "x-dead-letter-routing-key": checks.of_type("longstr"),
    "x-dead-letter-strategy": checks.one_of(_STRATEGIES, lambda _: "invalid_dlx_strategy"),
    "x-max-length": checks.not_negative,
    "x-max-length-bytes": checks.not_negative,
    "x-max-in-memory-length": checks.not_negative,
    "x-max-in-memory-bytes": checks.not_negative,
    "x-max-priority": checks.priority_max,
    "x-overflow": checks.one_of(_OVERFLOWS, lambda _: "invalid_overflow"),
    "x-queue-mode": checks.one_of(_MODES, lambda word: f"\"unsupported queue mode '{word}'\""),
    "x-queue-version": checks.queue_version,
    "x-single-active-consumer": checks.of_type("bool"),
    "x-quorum-initial-group-size": checks.positive,
    "x-queue-leader-locator": checks.one_of(_LOCATORS, lambda _: "invalid_queue_locator_arg"),
}
_OF_TYPE: Mapping[QueueType, tuple[str, ...]] = {
    "classic": (
        "x-expires",
        "x-message-ttl",
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-priority",
        "x-overflow",
        "x-queue-mode",
        "x-queue-version",
        "x-single-active-consumer",
        "x-queue-type",
        "x-queue-master-locator",
    ),
    "quorum": (
        "x-dead-letter-exchange",
        "x-dead-letter-routing-key",
        "x-dead-letter-strategy",
        "x-expires",
        "x-max-length",
        "x-max-length-bytes",
        "x-max-in-memory-length",
        "x-max-in-memory-bytes",
        "x-overflow",
        "x-single-active-consumer",
        "x-queue-type",
        "x-quorum-initial-group-size",
        "x-delivery-limit",
        "x-message-ttl",
        "x-queue-leader-locator",
    ),
}
_STREAM_ONLY = ("x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size")
_KNOWN = frozenset((*_OF_TYPE["classic"], *_OF_TYPE["quorum"], *_STREAM_ONLY))

_CONSUME: Mapping[str, Check] = {
    "x-priority": checks.integer,
    "x-cancel-on-ha-failover": checks.of_type("bool"),
}
_CONSUMER_OF_TYPE: Mapping[QueueType, tuple[str, ...]] = {
    "classic": ("x-cancel-on-ha-failover", "x-priority", "x-credit"),
    "quorum": ("x-priority", "x-credit"),
}
_CONSUMER_KNOWN = frozenset((*_CONSUMER_OF_TYPE["classic"], "x-stream-offset"))


def queue_options(name: str, vhost: str, arguments: Entries) -> QueueOptions:
    """Read the arguments of a declaration; 406 names the first one that is wrong."""
    owner = f"queue '{name}' in vhost '{vhost}'"
    exchange = arguments.get("x-dead-letter-exchange")
    if exchange is not None and tables.type_name(exchange) != "longstr":
        kind, argument = tables.type_name(exchange), "x-dead-letter-exchange"
        text = f"invalid type '{kind}' for arg '{argument}' in {owner}"
        raise BrokerError(PRECONDITION_FAILED, text)
    type_ = _queue_type(owner, arguments)
    _check_values(owner, arguments, _DECLARE, _OF_TYPE[type_])
    if "x-dead-letter-routing-key" in arguments and exchange is None:
        raise _invalid(owner, "x-dead-letter-routing-key", "routing_key_but_no_dlx_defined")
    _refuse_foreign(owner, arguments, type_, _KNOWN.difference(_OF_TYPE[type_]))
    return _read(type_, arguments)


def consumer_priority(name: str, vhost: str, type_: QueueType, arguments: Entries) -> int:
    """Read the arguments of a consumer; 406 names the first one that is wrong."""
    owner = f"queue '{name}' in vhost '{vhost}'"
    mine = _CONSUMER_OF_TYPE[type_]
    _check_values(owner, arguments, _CONSUME, mine)
    _refuse_foreign(owner, arguments, type_, _CONSUMER_KNOWN.difference(mine))
    priority = arguments.get("x-priority")
    return 0 if priority is None else tables.integer(priority)


def _check_values(
    owner: str, arguments: Entries, known: Mapping[str, Check], mine: tuple[str, ...]
) -> None:
    for argument, check in known.items():
        value = arguments.get(argument)
        if value is not None and argument in mine and (wrong := check(value)) is not None:
            raise _invalid(owner, argument, wrong)


def _refuse_foreign(
    owner: str, arguments: Entries, type_: QueueType, foreign: frozenset[str]
) -> None:
    for argument in arguments:
        if argument in foreign:
            text = f"invalid arg '{argument}' for {owner} of queue type rabbit_{type_}_queue"
            raise BrokerError(PRECONDITION_FAILED, text)


def _queue_type(owner: str, arguments: Entries) -> QueueType:
    value = arguments.get("x-queue-type")
    if value is None:
        return "classic"
    wrong = checks.of_type("longstr")(value)
    if wrong is None:
        word = tables.string(value)
        if word == "quorum":
            return "quorum"
        if word == "classic":
            return "classic"
        wrong = f"\"unsupported queue type '{word}'\""
    raise _invalid(owner, "x-queue-type", wrong)


def _invalid(owner: str, argument: str, wrong: str) -> BrokerError:
    return BrokerError(PRECONDITION_FAILED, f"invalid arg '{argument}' for {owner}: {wrong}")


def _read(type_: QueueType, arguments: Entries) -> QueueOptions:
    def number(argument: str) -> int | None:
        value = arguments.get(argument)
        # RabbitMQ takes a delivery limit of any type, and ignores one that is no number.
        if value is None or tables.type_name(value) not in tables.INTEGERS:
            return None
        return tables.integer(value)

    def word(argument: str) -> str | None:
        value = arguments.get(argument)
        return None if value is None else tables.string(value)

    overflow: Overflow = "drop-head"
    if word("x-overflow") == "reject-publish":
        overflow = "reject-publish"
    elif word("x-overflow") == "reject-publish-dlx" and type_ == "classic":
        # A quorum queue takes the word, and drops its head.
        overflow = "reject-publish-dlx"
    exchange = word("x-dead-letter-exchange")
    wants_at_least_once = word("x-dead-letter-strategy") == "at-least-once"
    return QueueOptions(
        type=type_,
        ttl_ms=number("x-message-ttl"),
        expires_ms=number("x-expires"),
        length_max=number("x-max-length"),
        bytes_max=number("x-max-length-bytes"),
        overflow=overflow,
        dead_letter_exchange=exchange,
        dead_letter_key=word("x-dead-letter-routing-key"),
        # RabbitMQ falls back to at-most-once where the overflow could drop a dead letter.
        at_least_once=wants_at_least_once and exchange is not None and overflow == "reject-publish",
        delivery_limit=number("x-delivery-limit"),
        single_active=arguments.get("x-single-active-consumer") == b"t\x01",
        priority_max=number("x-max-priority") or 0,
    )


def check_quorum(declaration: QueueDeclaration, vhost: str) -> None:
    """406 for a quorum queue that is not durable, shared and permanent."""
    properties = (
        (declaration.auto_delete, "auto-delete"),
        (declaration.exclusive, "exclusive-owner"),
        (not declaration.durable, "non-durable"),
    )
    for wrong, word in properties:
        if wrong:
            owner = f"queue '{declaration.name}' in vhost '{vhost}'"
            raise BrokerError(PRECONDITION_FAILED, f"invalid property '{word}' for {owner}")


def is_quorum(arguments: Entries) -> bool:
    """Whether these ask for a quorum queue."""
    return arguments.get("x-queue-type") == tables.text("quorum")


def assert_same_queue(
    name: str, vhost: str, type_: QueueType, current: Entries, received: Entries
) -> None:
    """406 where two declarations of a queue differ in an argument that matters."""
    for argument in _OF_TYPE[type_]:
        old, new = current.get(argument), received.get(argument)
        if argument == "x-queue-type" and {old, new} == {None, tables.text("classic")}:
            continue
        assert_same(f"queue '{name}' in vhost '{vhost}'", argument, old, new)


def assert_same(owner: str, argument: str, current: bytes | None, received: bytes | None) -> None:
    """406 where one argument differs (rabbit_misc:assert_args_equivalence1)."""
    if current is None and received is None:
        return
    if current is not None and received is not None:
        if tables.same(current, received):
            return
        new, old = f"'{_shown(received)}'", f"'{_shown(current)}'"
    else:
        new, old = _described(received), _described(current)
    raise inequivalent(owner, argument, new, old)


def inequivalent(owner: str, argument: str, received: str, current: str) -> BrokerError:
    """406 for a declaration that does not fit what exists."""
    return BrokerError(
        PRECONDITION_FAILED,
        f"inequivalent arg '{argument}' for {owner}: received {received} but current is {current}",
    )


def _described(value: bytes | None) -> str:
    if value is None:
        return "none"
    return f"the value '{_shown(value)}' of type '{tables.type_name(value)}'"


def _shown(value: bytes) -> str:
    plain = tables.plain(value)
    return str(plain).lower() if isinstance(plain, bool) else str(plain)
