"""Which x-arguments a queue takes, and when two declarations agree (RabbitMQ 3.10.8).

Three tables: how to check a value, which arguments belong to one queue type only, and which ones
are part of a queue's identity. Arguments that RabbitMQ does not know are taken and ignored.
"""

from collections.abc import Callable
from typing import Literal

import msgspec

from runtime.broker import tables
from runtime.broker.errors import PRECONDITION_FAILED, BrokerError
from runtime.broker.tables import Entries

QueueType = Literal["classic", "quorum"]
Overflow = Literal["drop-head", "reject-publish", "reject-publish-dlx"]

_TIMER_MS_MAX = 4294967295
_PRIORITY_MAX = 255
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx")
_STRATEGIES = ("at-most-once", "at-least-once")
_MODES = ("default", "lazy")

# What a check says is wrong, or None.
Check = Callable[[bytes], str | None]


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


class QueueDeclaration(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of a queue.declare that make a queue."""

    name: str
    durable: bool
    exclusive: bool
    auto_delete: bool
    arguments: Entries


def _integer(value: bytes) -> str | None:
    kind = tables.type_name(value)
    return None if kind in tables.INTEGERS else f'"expected integer, got {kind}"'


def _not_negative(value: bytes) -> str | None:
    wrong = _integer(value)
    if wrong is None and tables.integer(value) < 0:
        return f"{{value_negative,{tables.integer(value)}}}"
    return wrong


def _duration(value: bytes) -> str | None:
    wrong = _not_negative(value)
    if wrong is None and tables.integer(value) > _TIMER_MS_MAX:
        return f"{{value_too_large,{tables.integer(value)}}}"
    return wrong


def _positive_duration(value: bytes) -> str | None:
    wrong = _duration(value)
    return "{value_zero,0}" if wrong is None and tables.integer(value) == 0 else wrong


def _positive(value: bytes) -> str | None:
    wrong = _not_negative(value)
    return "{value_zero,0}" if wrong is None and tables.integer(value) == 0 else wrong


def _priority(value: bytes) -> str | None:
    wrong = _not_negative(value)
    if wrong is None and tables.integer(value) > _PRIORITY_MAX:
        return f"{{max_value_exceeded,{tables.integer(value)}}}"
    return wrong


def _of_type(kind: str) -> Check:
    def check(value: bytes) -> str | None:
        actual = tables.type_name(value)
        return None if actual == kind else f"{{unacceptable_type,{actual}}}"

    return check


def _one_of(words: tuple[str, ...], wrong: Callable[[str], str]) -> Check:
    def check(value: bytes) -> str | None:
        unfit = _of_type("longstr")(value)
        if unfit is None and tables.string(value) not in words:
            return wrong(tables.string(value))
        return unfit

    return check


_CHECKS: tuple[tuple[str, Check], ...] = (
    ("x-expires", _positive_duration),
    ("x-message-ttl", _duration),
    ("x-dead-letter-exchange", _of_type("longstr")),
    ("x-dead-letter-routing-key", _of_type("longstr")),
    ("x-dead-letter-strategy", _one_of(_STRATEGIES, lambda _: "invalid_dlx_strategy")),
    ("x-max-length", _not_negative),
    ("x-max-length-bytes", _not_negative),
    ("x-max-in-memory-length", _not_negative),
    ("x-max-in-memory-bytes", _not_negative),
    ("x-max-priority", _priority),
    ("x-overflow", _one_of(_OVERFLOWS, lambda _: "invalid_overflow")),
    ("x-queue-mode", _one_of(_MODES, lambda word: f"\"unsupported queue mode '{word}'\"")),
    ("x-quorum-initial-group-size", _positive),
    ("x-single-active-consumer", _of_type("bool")),
)
_QUORUM_ONLY = (
    "x-delivery-limit",
    "x-dead-letter-strategy",
    "x-quorum-initial-group-size",
    "x-max-in-memory-length",
    "x-max-in-memory-bytes",
    "x-queue-leader-locator",
)
_CLASSIC_ONLY = ("x-max-priority", "x-queue-mode", "x-queue-version", "x-queue-master-locator")
_STREAM_ONLY = ("x-max-age", "x-stream-max-segment-size-bytes", "x-initial-cluster-size")
_FOREIGN = {"classic": _QUORUM_ONLY + _STREAM_ONLY, "quorum": _CLASSIC_ONLY + _STREAM_ONLY}
_IDENTITY = (
    "x-expires",
    "x-message-ttl",
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-dead-letter-strategy",
    "x-delivery-limit",
    "x-max-in-memory-bytes",
    "x-max-in-memory-length",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-overflow",
    "x-queue-mode",
    "x-queue-type",
    "x-quorum-initial-group-size",
    "x-single-active-consumer",
)


def queue_options(name: str, vhost: str, arguments: Entries) -> QueueOptions:
    """Read the arguments of a declaration; 406 names the first one that is wrong."""
    type_ = _queue_type(name, vhost, arguments)
    for argument in _FOREIGN[type_]:
        if argument in arguments:
            raise BrokerError(
                PRECONDITION_FAILED,
                f"invalid arg '{argument}' for queue '{name}' in vhost '{vhost}' "
                f"of queue type rabbit_{type_}_queue",
            )
    for argument, check in _CHECKS:
        value = arguments.get(argument)
        wrong = None if value is None else check(value)
        if value is not None and wrong is not None:
            raise _invalid(name, vhost, argument, wrong, tables.type_name(value))
    if "x-dead-letter-routing-key" in arguments and "x-dead-letter-exchange" not in arguments:
        wrong = "routing_key_but_no_dlx_defined"
        raise _invalid(name, vhost, "x-dead-letter-routing-key", wrong, "longstr")
    return _read(type_, arguments)


def _queue_type(name: str, vhost: str, arguments: Entries) -> QueueType:
    value = arguments.get("x-queue-type")
    if value is None:
        return "classic"
    wrong = _of_type("longstr")(value)
    if wrong is None:
        word = tables.string(value)
        if word == "quorum":
            return "quorum"
        if word == "classic":
            return "classic"
        wrong = f"\"unsupported queue type '{word}'\""
    raise _invalid(name, vhost, "x-queue-type", wrong, "longstr")


def _invalid(name: str, vhost: str, argument: str, wrong: str, kind: str) -> BrokerError:
    if argument == "x-dead-letter-exchange":
        text = f"invalid type '{kind}' for arg '{argument}' in queue '{name}' in vhost '{vhost}'"
    else:
        text = f"invalid arg '{argument}' for queue '{name}' in vhost '{vhost}': {wrong}"
    return BrokerError(PRECONDITION_FAILED, text)


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
    for known in ("reject-publish", "reject-publish-dlx"):
        if word("x-overflow") == known:
            overflow = "reject-publish" if known == "reject-publish" else "reject-publish-dlx"
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
    )


def check_quorum(declaration: QueueDeclaration, vhost: str) -> None:
    """406 for a quorum queue that is not durable, shared, permanent and named."""
    if declaration.name.startswith("amq.gen-"):
        text = "Cannot declare a server-named queue for type rabbit_quorum_queue"
        raise BrokerError(PRECONDITION_FAILED, text)
    properties = (
        (not declaration.durable, "non-durable"),
        (declaration.auto_delete, "auto-delete"),
        (declaration.exclusive, "exclusive-owner"),
    )
    for wrong, word in properties:
        if wrong:
            owner = f"queue '{declaration.name}' in vhost '{vhost}'"
            raise BrokerError(PRECONDITION_FAILED, f"invalid property '{word}' for {owner}")


def assert_same_queue(name: str, vhost: str, current: Entries, received: Entries) -> None:
    """406 where two declarations of a queue differ in an argument that matters."""
    for argument in _IDENTITY:
        old, new = current.get(argument), received.get(argument)
        if argument == "x-queue-type" and old is None and new == tables.text("classic"):
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
