"""What each method on an open channel does: one table, one small function a method.

AMQP 0-9-1, 1.3 to 1.8, with RabbitMQ's extensions (nack, confirms, exchange bindings).
"""

from collections.abc import Callable
from typing import Any

from pamqp import commands
from pamqp.base import Frame

from runtime.broker import tables, wire
from runtime.broker.arguments import QueueDeclaration
from runtime.broker.channel import Channel, ChannelConsumer, Settlement
from runtime.broker.errors import (
    ACCESS_REFUSED,
    COMMAND_INVALID,
    NOT_ALLOWED,
    NOT_FOUND,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    BrokerError,
)
from runtime.broker.queue import Queue
from runtime.broker.routing import Binding, Kind


def handle(channel: Channel, method: Frame, arguments: tables.Entries) -> None:
    """Carry out a method; ``arguments`` is its argument table, raw."""
    handler = _TABLE.get(type(method))
    if handler is None:
        raise BrokerError(COMMAND_INVALID, "unimplemented method", method.index)
    try:
        handler(channel, method, arguments)
    except BrokerError as error:
        if error.method is None:
            error.method = method.index
        raise


def _queue_name(channel: Channel, name: str) -> str:
    """An empty name means the queue last declared on the channel."""
    name = name or channel.current_queue
    if not name:
        raise BrokerError(NOT_FOUND, "no previously declared queue")
    return name


def _queue(channel: Channel, name: str) -> Queue:
    return channel.vhost.queue(_queue_name(channel, name), channel.connection)


def _answer_durably(channel: Channel, answer: Frame, nowait: bool) -> None:
    if not nowait:
        channel.keep_back()
        channel.send_method(answer)


# -- exchange -------------------------------------------------------------------------------------


def _exchange_declare(
    channel: Channel, method: commands.Exchange.Declare, arguments: tables.Entries
) -> None:
    if method.passive:
        if not method.exchange:
            channel.vhost.declare_exchange(
                "", "", durable=False, auto_delete=False, internal=False, arguments={}
            )
        channel.vhost.exchange(method.exchange)
    else:
        channel.vhost.declare_exchange(
            method.exchange,
            method.exchange_type,
            durable=method.durable,
            auto_delete=method.auto_delete,
            internal=method.internal,
            arguments=arguments,
        )
    _answer_durably(channel, commands.Exchange.DeclareOk(), method.nowait)


def _exchange_delete(
    channel: Channel, method: commands.Exchange.Delete, arguments: tables.Entries
) -> None:
    channel.vhost.delete_exchange(method.exchange, if_unused=method.if_unused)
    _answer_durably(channel, commands.Exchange.DeleteOk(), method.nowait)


def _binding(
    kind: Kind, source: str, destination: str, key: str, arguments: tables.Entries
) -> Binding:
    return Binding(source, kind, destination, key, tables.encoded(arguments)[4:])


def _exchange_bind(
    channel: Channel, method: commands.Exchange.Bind, arguments: tables.Entries
) -> None:
    ends = (method.source, method.destination, method.routing_key)
    channel.vhost.exchange(method.destination)
    channel.vhost.bind(_binding("exchange", *ends, arguments))
    _answer_durably(channel, commands.Exchange.BindOk(), method.nowait)


def _exchange_unbind(
    channel: Channel, method: commands.Exchange.Unbind, arguments: tables.Entries
) -> None:
    ends = (method.source, method.destination, method.routing_key)
    channel.vhost.exchange(method.destination)
    channel.vhost.unbind(_binding("exchange", *ends, arguments))
    _answer_durably(channel, commands.Exchange.UnbindOk(), method.nowait)


# -- queue ----------------------------------------------------------------------------------------


def _queue_declare(
    channel: Channel, method: commands.Queue.Declare, arguments: tables.Entries
) -> None:
    if method.passive:
        queue = channel.vhost.queue(method.queue, channel.connection)
    else:
        declaration = QueueDeclaration(
            name=method.queue or f"amq.gen-{channel.connection.broker.token()}",
            durable=method.durable,
            exclusive=method.exclusive,
            auto_delete=method.auto_delete,
            arguments=arguments,
        )
        queue = channel.vhost.declare_queue(declaration, channel.connection)
    queue.used_at = channel.vhost.now()
    queue.expire()
    channel.current_queue = queue.name
    if not method.nowait:
        channel.keep_back()
        counts = (len(queue), len(queue.consumers))
        channel.send(wire.declare_ok(channel.number, queue.name, *counts))


def _queue_bind(channel: Channel, method: commands.Queue.Bind, arguments: tables.Entries) -> None:
    name = _queue_name(channel, method.queue)
    # Without a queue name, an empty key means the name of the current queue (AMQP 0-9-1, 1.7.2.3).
    key = name if not method.queue and not method.routing_key else method.routing_key
    if method.exchange:
        channel.vhost.exchange(method.exchange)
    queue = channel.vhost.queue(name, channel.connection)
    channel.vhost.bind(_binding("queue", method.exchange, queue.name, key, arguments))
    _answer_durably(channel, commands.Queue.BindOk(), method.nowait)


def _queue_unbind(
    channel: Channel, method: commands.Queue.Unbind, arguments: tables.Entries
) -> None:
    name = _queue_name(channel, method.queue)
    key = name if not method.queue and not method.routing_key else method.routing_key
    vhost = channel.vhost
    # Unbinding is idempotent: what does not exist is not bound.
    if not method.exchange or (name in vhost.queues and method.exchange in vhost.exchanges.by_name):
        if name in vhost.queues:
            vhost.queue(name, channel.connection)
        vhost.unbind(_binding("queue", method.exchange, name, key, arguments))
    _answer_durably(channel, commands.Queue.UnbindOk(), False)


def _queue_purge(channel: Channel, method: commands.Queue.Purge, arguments: tables.Entries) -> None:
    count = _queue(channel, method.queue).purge()
    _answer_durably(channel, commands.Queue.PurgeOk(count), method.nowait)


def _queue_delete(
    channel: Channel, method: commands.Queue.Delete, arguments: tables.Entries
) -> None:
    name = _queue_name(channel, method.queue)
    count = channel.vhost.delete_queue(
        name, channel.connection, if_unused=method.if_unused, if_empty=method.if_empty
    )
    _answer_durably(channel, commands.Queue.DeleteOk(count), method.nowait)


# -- basic ----------------------------------------------------------------------------------------


def _basic_qos(channel: Channel, method: commands.Basic.Qos, arguments: tables.Entries) -> None:
    if method.prefetch_size:
        raise BrokerError(NOT_IMPLEMENTED, f"prefetch_size!=0 ({method.prefetch_size})")
    if method.global_:
        channel.global_prefetch = method.prefetch_count
    else:
        channel.prefetch = method.prefetch_count
    channel.send_method(commands.Basic.QosOk())
    if method.global_:
        channel.pump([consumer.queue for consumer in channel.consumers.values()])


def _basic_consume(
    channel: Channel, method: commands.Basic.Consume, arguments: tables.Entries
) -> None:
    tag = method.consumer_tag
    if tag in channel.consumers:
        raise BrokerError(NOT_ALLOWED, f"attempt to reuse consumer tag '{tag}'")
    queue = _queue(channel, method.queue)
    owner = f"queue '{queue.name}' in vhost '{channel.vhost.name}'"
    if queue.is_quorum and channel.global_prefetch:
        raise BrokerError(NOT_IMPLEMENTED, f"{owner} does not support global qos")
    taken = any(consumer.exclusive for consumer in queue.consumers)
    if taken or (method.exclusive and queue.consumers):
        raise BrokerError(ACCESS_REFUSED, f"{owner} in exclusive use")
    tag = tag or f"amq.ctag-{channel.connection.broker.token()}"
    consumer = ChannelConsumer(
        channel, tag, queue, no_ack=method.no_ack, exclusive=method.exclusive
    )
    channel.consumers[tag] = consumer
    queue.consumers.append(consumer)
    if not method.nowait:
        channel.send_method(commands.Basic.ConsumeOk(tag))
    queue.pump()


def _basic_cancel(
    channel: Channel, method: commands.Basic.Cancel, arguments: tables.Entries
) -> None:
    tag = method.consumer_tag or ""
    channel.remove_consumer(tag)
    if not method.nowait:
        channel.send_method(commands.Basic.CancelOk(tag))


def _basic_get(channel: Channel, method: commands.Basic.Get, arguments: tables.Entries) -> None:
    queue = _queue(channel, method.queue)
    queue.used_at = channel.vhost.now()
    found = queue.get()
    if found is None:
        channel.send_method(commands.Basic.GetEmpty())
        return
    entry, redelivered = found
    message = entry.message
    tag = channel.hand_out(queue, entry, None, held=not method.no_ack)
    header = message.header
    if queue.is_quorum:
        header = message.with_header("x-delivery-count", tables.long(entry.count))
    channel.send(wire.get_ok(channel.number, tag, redelivered, message.address, len(queue)))
    size_max = channel.connection.frame_size_max
    channel.send(wire.content(channel.number, header, message.body, size_max))
    if method.no_ack:
        queue.acked(entry)


def _basic_ack(channel: Channel, method: commands.Basic.Ack, arguments: tables.Entries) -> None:
    channel.settle(method.delivery_tag, method.multiple, "ack")


def _refusal(requeue: bool) -> Settlement:
    return "requeue" if requeue else "reject"


def _basic_nack(channel: Channel, method: commands.Basic.Nack, arguments: tables.Entries) -> None:
    channel.settle(method.delivery_tag, method.multiple, _refusal(method.requeue))


def _basic_reject(
    channel: Channel, method: commands.Basic.Reject, arguments: tables.Entries
) -> None:
    channel.settle(method.delivery_tag or 0, False, _refusal(method.requeue))


def _basic_recover(
    channel: Channel,
    method: commands.Basic.Recover | commands.Basic.RecoverAsync,
    arguments: tables.Entries,
) -> None:
    if not method.requeue:
        raise BrokerError(NOT_IMPLEMENTED, "requeue=false")
    queues = channel.recover()
    if isinstance(method, commands.Basic.Recover):
        channel.send_method(commands.Basic.RecoverOk())
    channel.pump(queues)


# -- channel, confirm, tx -------------------------------------------------------------------------


def _channel_flow(
    channel: Channel, method: commands.Channel.Flow, arguments: tables.Entries
) -> None:
    if not method.active:
        raise BrokerError(NOT_IMPLEMENTED, "active=false")
    channel.send_method(commands.Channel.FlowOk(True))


def _confirm_select(
    channel: Channel, method: commands.Confirm.Select, arguments: tables.Entries
) -> None:
    channel.mode = "confirm"
    if not method.nowait:
        channel.send_method(commands.Confirm.SelectOk())


def _tx(channel: Channel, method: Frame, arguments: tables.Entries) -> None:
    if channel.mode == "confirm":
        raise BrokerError(PRECONDITION_FAILED, "cannot switch from confirm to tx mode")
    raise BrokerError(NOT_IMPLEMENTED, "transactions are not supported: use publisher confirms")


Handler = Callable[[Channel, Any, tables.Entries], None]

_TABLE: dict[type[Frame], Handler] = {
    commands.Exchange.Declare: _exchange_declare,
    commands.Exchange.Delete: _exchange_delete,
    commands.Exchange.Bind: _exchange_bind,
    commands.Exchange.Unbind: _exchange_unbind,
    commands.Queue.Declare: _queue_declare,
    commands.Queue.Bind: _queue_bind,
    commands.Queue.Unbind: _queue_unbind,
    commands.Queue.Purge: _queue_purge,
    commands.Queue.Delete: _queue_delete,
    commands.Basic.Qos: _basic_qos,
    commands.Basic.Consume: _basic_consume,
    commands.Basic.Cancel: _basic_cancel,
    commands.Basic.Get: _basic_get,
    commands.Basic.Ack: _basic_ack,
    commands.Basic.Nack: _basic_nack,
    commands.Basic.Reject: _basic_reject,
    commands.Basic.Recover: _basic_recover,
    commands.Basic.RecoverAsync: _basic_recover,
    commands.Channel.Flow: _channel_flow,
    commands.Confirm.Select: _confirm_select,
    commands.Tx.Select: _tx,
    commands.Tx.Commit: _tx,
    commands.Tx.Rollback: _tx,
}
