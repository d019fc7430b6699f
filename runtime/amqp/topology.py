"""Exchanges, queues and bindings as data, and the one function that declares them.

Its law: what exists must be exactly what is written here. RabbitMQ refuses to re-declare a queue
with other arguments (406); then the program stops and says which queue and which two values: a
queue that loses messages quietly is worse than one that is missing.

Queues for a service (`service_queues`), after the queue ``payment`` that they serve:

- ``payment`` holds the work. A delivery that comes back 100 times goes to ``payment.dead``.
- ``payment.retry.5s``, one for each tier: a message put there returns to ``payment`` after 5 s.
- ``payment.dead`` keeps what no retry can help, until a person decides.

Quorum queues dead-letter at least once, which needs ``x-overflow: reject-publish`` (RabbitMQ,
"Quorum Queues", since 3.10, feature flag ``stream_queue``). The delivery limit is explicit and
high: a connection that dies gives its whole prefetch back and counts against each message of it, so
a low limit dead-letters innocent ones. Classic queues know neither, and lose that guarantee.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Literal

import msgspec
from aiormq.channel import Channel
from aiormq.exceptions import (
    ChannelAccessRefused,
    ChannelNotFoundEntity,
    ChannelPreconditionFailed,
)

from runtime.amqp.session import Session, plain
from runtime.errors import BrokerLost, BrokerRefuses

QueueType = Literal["quorum", "classic"]
Argument = str | int

DELIVERY_LIMIT = 100
# Nothing may drop out of the last queue. Leaving the limit away means 20 from RabbitMQ 4.0 on.
NO_LIMIT = 1_000_000_000


class Exchange(msgspec.Struct, frozen=True):
    """A durable exchange."""

    name: str
    type: Literal["topic", "direct", "fanout", "headers"] = "topic"


class Queue(msgspec.Struct, frozen=True):
    """A durable queue. ``arguments`` are the broker's optional arguments, exactly."""

    name: str
    arguments: Mapping[str, Argument] = {}


class Binding(msgspec.Struct, frozen=True):
    """Messages of ``exchange`` whose routing key matches go to ``queue``."""

    queue: str
    exchange: str
    routing_key: str


class Topology(msgspec.Struct, frozen=True):
    """Everything that must exist; declared in this order."""

    exchanges: tuple[Exchange, ...] = ()
    queues: tuple[Queue, ...] = ()
    bindings: tuple[Binding, ...] = ()


def service_queues(
    name: str,
    bindings: Sequence[tuple[str, str]],
    tiers_s: Sequence[int],
    queue_type: QueueType = "quorum",
) -> Topology:
    """Return the queues of one service and their ``(exchange, routing key)`` bindings.

    ``tiers_s`` are the delays of its retry queues, in seconds.
    """
    base = _arguments(queue_type, DELIVERY_LIMIT)
    work = Queue(name, {**base, **_dead_letters_to(dead_queue(name), queue_type)})
    delays = [
        Queue(
            retry_queue(name, tier_s),
            {**base, "x-message-ttl": tier_s * 1000, **_dead_letters_to(name, queue_type)},
        )
        for tier_s in tiers_s
    ]
    dead = Queue(dead_queue(name), _arguments(queue_type, NO_LIMIT))
    return Topology(
        queues=(dead, work, *delays),
        bindings=tuple(Binding(name, exchange, key) for exchange, key in bindings),
    )


def retry_queue(name: str, tier_s: int) -> str:
    """Return the name of the delay queue of one tier, such as ``payment.retry.5s``."""
    return f"{name}.retry.{tier_s}s"


def dead_queue(name: str) -> str:
    """Return the name of the queue of parked messages, such as ``payment.dead``."""
    return f"{name}.dead"


def retry_tier_s(queue: Queue) -> int | None:
    """Return the delay of a delay queue in seconds; None for any other queue."""
    ttl_ms = queue.arguments.get("x-message-ttl")
    return ttl_ms // 1000 if isinstance(ttl_ms, int) else None


def joined(*parts: Topology) -> Topology:
    """Return one topology with everything of the parts."""
    return Topology(
        exchanges=tuple(exchange for part in parts for exchange in part.exchanges),
        queues=tuple(queue for part in parts for queue in part.queues),
        bindings=tuple(binding for part in parts for binding in part.bindings),
    )


async def declare(session: Session, topology: Topology) -> None:
    """Make sure that everything exists, exactly as described.

    Raises `BrokerRefuses` where something exists with other arguments or the account may not
    declare, `BrokerLost` or `DeadlineExceeded` as ever.
    """
    channel = await session.channel(plain)
    for exchange in topology.exchanges:
        call = _declare_exchange(exchange, channel)
        await _checked(session.call(call, f"declare exchange {exchange.name}"))
    for queue in topology.queues:
        await _checked(session.call(_declare_queue(queue, channel), f"declare queue {queue.name}"))
    for binding in topology.bindings:
        bind = channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)
        await _checked(session.call(bind, f"bind {binding.queue} to {binding.exchange}"))
    await session.call(channel.close(), "close the channel")


async def differences(session: Session, topology: Topology) -> list[str]:
    """Return in words which exchanges and queues are missing or are there with other arguments.

    Nothing is made. Bindings are not looked at: AMQP 0-9-1 has no way to ask for them. Raises
    `BrokerRefuses` where the account may not declare, `BrokerLost` or `DeadlineExceeded` as ever.
    """
    declares: dict[str, _Declare] = {
        **{f"exchange {row.name}": partial(_declare_exchange, row) for row in topology.exchanges},
        **{f"queue {row.name}": partial(_declare_queue, row) for row in topology.queues},
    }
    found = [await _difference(session, what, call) for what, call in declares.items()]
    return [text for text in found if text]


async def _difference(session: Session, what: str, declare: "_Declare") -> str:
    # Passive first: what is not there must not be made by the second look, which compares.
    for passive in (True, False):
        # A refusal closes its channel.
        channel = await session.channel(plain)
        try:
            await _allowed(session.call(declare(channel, passive=passive), f"look at {what}"))
        except BrokerLost as error:
            match error.__cause__:
                case ChannelNotFoundEntity():
                    return f"{what} is missing"
                case ChannelPreconditionFailed() as refusal:
                    return f"{what} differs: {refusal}"
            raise
        await session.end(channel)
    return ""


_Declare = Callable[..., Coroutine[object, object, None]]


async def _declare_exchange(exchange: Exchange, channel: Channel, *, passive: bool = False) -> None:
    await channel.exchange_declare(
        exchange.name, exchange_type=exchange.type, durable=True, passive=passive
    )


async def _declare_queue(queue: Queue, channel: Channel, *, passive: bool = False) -> None:
    await channel.queue_declare(
        queue.name, durable=True, passive=passive, arguments=dict(queue.arguments)
    )


async def _checked(call: Awaitable[object]) -> None:
    try:
        await _allowed(call)
    except BrokerLost as error:
        match error.__cause__:
            case ChannelPreconditionFailed() as refusal:
                raise BrokerRefuses(
                    "topology",
                    f"what the broker has differs from what is configured: {refusal}",
                    hint="set the configuration back, or delete the queue once it is empty "
                    "(a queue's type and arguments cannot be changed), or give it a new name",
                ) from error
        raise


async def _allowed(call: Awaitable[object]) -> None:
    try:
        await call
    except BrokerLost as error:
        match error.__cause__:
            case ChannelAccessRefused() as refusal:
                raise BrokerRefuses(
                    "permissions",
                    f"the broker does not let this account declare the topology: {refusal}",
                    hint="grant it configure, write and read on the virtual host",
                ) from error
        raise


def _arguments(queue_type: QueueType, delivery_limit: int) -> dict[str, Argument]:
    if queue_type == "classic":
        return {"x-queue-type": "classic"}
    return {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-delivery-limit": delivery_limit,
    }


def _dead_letters_to(queue: str, queue_type: QueueType) -> dict[str, Argument]:
    route: dict[str, Argument] = {
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": queue,
    }
    if queue_type == "quorum":
        route["x-dead-letter-strategy"] = "at-least-once"
    return route
