"""What the methods of AMQP's class basic do on an open channel: one small function a method."""

from pamqp import commands

from runtime.broker import tables, wire
from runtime.broker.arguments import consumer_priority
from runtime.broker.channel import Channel
from runtime.broker.consumer import Consumer, Settlement
from runtime.broker.errors import NOT_ALLOWED, NOT_FOUND, NOT_IMPLEMENTED, BrokerError
from runtime.broker.queue import Queue


def queue_name(channel: Channel, name: str) -> str:
    """An empty name means the queue last declared on the channel; 404 if there was none."""
    name = name or channel.current_queue
    if not name:
        raise BrokerError(NOT_FOUND, "no previously declared queue")
    return name


def queue(channel: Channel, name: str) -> Queue:
    """The queue that a method means; 404, or 405 for another connection's."""
    return channel.vhost.queue(queue_name(channel, name), channel.connection)


def qos(channel: Channel, method: commands.Basic.Qos, arguments: tables.Entries) -> None:
    """Limit what consumers to come may hold, or (global) what the channel's may hold together."""
    if method.prefetch_size:
        raise BrokerError(NOT_IMPLEMENTED, f"prefetch_size!=0 ({method.prefetch_size})")
    channel.send_method(commands.Basic.QosOk())
    if method.global_ and method.prefetch_count:
        channel.limiter.restrict(method.prefetch_count, channel.unacked)
        return
    if not method.global_:
        channel.prefetch = method.prefetch_count
    # A limit for each consumer, too, lifts the one that they shared.
    channel.limiter.lift()


def consume(channel: Channel, method: commands.Basic.Consume, arguments: tables.Entries) -> None:
    """Start a consumer; it is answered before its first delivery."""
    name = queue_name(channel, method.queue)
    tag = method.consumer_tag
    if tag in channel.consumers:
        raise BrokerError(NOT_ALLOWED, f"attempt to reuse consumer tag '{tag}'")
    source = channel.vhost.queue(name, channel.connection)
    priority = consumer_priority(name, channel.vhost.name, source.options.type, arguments)
    consumer = Consumer(
        channel,
        source,
        tag or f"amq.ctag-{channel.connection.broker.token()}",
        no_ack=method.no_ack,
        exclusive=method.exclusive,
        prefetch=channel.prefetch,
        priority=priority,
    )
    source.check_consumer(consumer)
    channel.consumers[consumer.tag] = consumer
    if not method.nowait:
        channel.send_method(commands.Basic.ConsumeOk(consumer.tag))
    source.consume(consumer)


def cancel(channel: Channel, method: commands.Basic.Cancel, arguments: tables.Entries) -> None:
    """Stop a consumer; it keeps what it holds. One that is not there is no error."""
    tag = method.consumer_tag or ""
    if not method.nowait:
        channel.send_method(commands.Basic.CancelOk(tag))
    channel.cancel(tag)


def get(channel: Channel, method: commands.Basic.Get, arguments: tables.Entries) -> None:
    """Fetch one message."""
    source = queue(channel, method.queue)
    got = source.get(channel, channel.coming_tag, no_ack=method.no_ack)
    if got is None:
        channel.send_method(commands.Basic.GetEmpty())
        return
    tag = channel.next_tag()
    message = got.entry.message
    if not method.no_ack:
        channel.hold(tag, source, got.entry, None)
    header = message.header
    if source.is_quorum:
        header = message.with_header("x-delivery-count", tables.long(got.entry.count))
    channel.send(wire.get_ok(channel.number, tag, got.redelivered, message.address, got.left))
    size_max = channel.connection.frame_size_max
    channel.send(wire.content(channel.number, header, message.body, size_max))


def ack(channel: Channel, method: commands.Basic.Ack, arguments: tables.Entries) -> None:
    """The client is done with one delivery, or all up to it."""
    channel.settle(method.delivery_tag, method.multiple, "ack")


def nack(channel: Channel, method: commands.Basic.Nack, arguments: tables.Entries) -> None:
    """The client does not want one delivery, or all up to it."""
    channel.settle(method.delivery_tag, method.multiple, _refusal(method.requeue))


def reject(channel: Channel, method: commands.Basic.Reject, arguments: tables.Entries) -> None:
    """The client does not want one delivery."""
    channel.settle(method.delivery_tag or 0, False, _refusal(method.requeue))


def _refusal(requeue: bool) -> Settlement:
    return "requeue" if requeue else "reject"


def recover(
    channel: Channel,
    method: commands.Basic.Recover | commands.Basic.RecoverAsync,
    arguments: tables.Entries,
) -> None:
    """Requeue everything that the client holds; the answer precedes what is delivered again."""
    if not method.requeue:
        raise BrokerError(NOT_IMPLEMENTED, "requeue=false")
    helds = channel.take_back()
    if isinstance(method, commands.Basic.Recover):
        channel.send_method(commands.Basic.RecoverOk())
    channel.give_back(helds)
