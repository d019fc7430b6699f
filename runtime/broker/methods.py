"""What each method on an open channel does: one table, one small function a method.

Here those on exchanges and queues, and on the channel as a whole; `basic_methods` has the rest.
AMQP 0-9-1, 1.3 to 1.8, with RabbitMQ's extensions (nack, confirms, exchange bindings).
"""

from collections.abc import Callable
from typing import Any

from pamqp import commands
from pamqp.base import Frame

from runtime.broker import basic_methods as basic
from runtime.broker import tables, wire
from runtime.broker.arguments import QueueDeclaration
from runtime.broker.channel import Channel
from runtime.broker.errors import (
    COMMAND_INVALID,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    BrokerError,
)
from runtime.broker.routing import Binding, Exchange, Kind
from runtime.broker.vhost import GENERATED


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


def _plain(name: str) -> str:
    """A name without line ends, which RabbitMQ drops where names are given."""
    return name.replace("\n", "").replace("\r", "")


def _answer_durably(channel: Channel, answer: Frame, nowait: bool) -> None:
    if not nowait:
        channel.keep_back()
        channel.send_method(answer)


# -- exchange -------------------------------------------------------------------------------------


def _exchange_declare(
    channel: Channel, method: commands.Exchange.Declare, arguments: tables.Entries
) -> None:
    exchanges, name = channel.vhost.exchanges, _plain(method.exchange)
    if method.passive:
        exchanges.check_exchange(name)
    else:
        exchange = Exchange(
            name,
            method.exchange_type,
            durable=method.durable,
            auto_delete=method.auto_delete,
            internal=method.internal,
            arguments=arguments,
        )
        exchanges.declare_exchange(exchange)
    _answer_durably(channel, commands.Exchange.DeclareOk(), method.nowait)


def _exchange_delete(
    channel: Channel, method: commands.Exchange.Delete, arguments: tables.Entries
) -> None:
    name = _plain(method.exchange)
    channel.vhost.exchanges.delete_exchange(name, if_unused=method.if_unused)
    _answer_durably(channel, commands.Exchange.DeleteOk(), method.nowait)


def _binding(
    kind: Kind, source: str, destination: str, key: str, arguments: tables.Entries
) -> Binding:
    return Binding(_plain(source), kind, _plain(destination), key, tables.encoded(arguments)[4:])


def _exchange_bind(
    channel: Channel, method: commands.Exchange.Bind, arguments: tables.Entries
) -> None:
    ends = (method.source, method.destination, method.routing_key)
    channel.vhost.bind(_binding("exchange", *ends, arguments), channel.connection)
    _answer_durably(channel, commands.Exchange.BindOk(), method.nowait)


def _exchange_unbind(
    channel: Channel, method: commands.Exchange.Unbind, arguments: tables.Entries
) -> None:
    ends = (method.source, method.destination, method.routing_key)
    channel.vhost.exchanges.unbind(_binding("exchange", *ends, arguments), channel.connection)
    _answer_durably(channel, commands.Exchange.UnbindOk(), method.nowait)


# -- queue ----------------------------------------------------------------------------------------


def _queue_declare(
    channel: Channel, method: commands.Queue.Declare, arguments: tables.Entries
) -> None:
    vhost, name = channel.vhost, _plain(method.queue)
    if method.passive:
        queue = vhost.queue(name, channel.connection)
    else:
        vhost.check_name(name, arguments)
        declaration = QueueDeclaration(
            name=name or f"{GENERATED}{channel.connection.broker.token()}",
            durable=method.durable,
            exclusive=method.exclusive,
            auto_delete=method.auto_delete,
            arguments=arguments,
        )
        queue = vhost.declare_queue(declaration, channel.connection)
    queue.declared()
    channel.current_queue = queue.name
    if not method.nowait:
        channel.keep_back()
        counts = (len(queue), queue.consumer_count)
        channel.send(wire.declare_ok(channel.number, queue.name, *counts))


def _queue_binding(
    channel: Channel,
    method: commands.Queue.Bind | commands.Queue.Unbind,
    arguments: tables.Entries,
) -> Binding:
    name = basic.queue_name(channel, method.queue)
    # Without a queue name, an empty key means the name of the current queue (AMQP 0-9-1, 1.7.2.3).
    key = name if not method.queue and not method.routing_key else method.routing_key
    return _binding("queue", method.exchange, name, key, arguments)


def _queue_bind(channel: Channel, method: commands.Queue.Bind, arguments: tables.Entries) -> None:
    channel.vhost.bind(_queue_binding(channel, method, arguments), channel.connection)
    _answer_durably(channel, commands.Queue.BindOk(), method.nowait)


def _queue_unbind(
    channel: Channel, method: commands.Queue.Unbind, arguments: tables.Entries
) -> None:
    channel.vhost.exchanges.unbind(_queue_binding(channel, method, arguments), channel.connection)
    _answer_durably(channel, commands.Queue.UnbindOk(), False)


def _queue_purge(channel: Channel, method: commands.Queue.Purge, arguments: tables.Entries) -> None:
    count = basic.queue(channel, method.queue).purge()
    _answer_durably(channel, commands.Queue.PurgeOk(count), method.nowait)


def _queue_delete(
    channel: Channel, method: commands.Queue.Delete, arguments: tables.Entries
) -> None:
    name = _plain(basic.queue_name(channel, method.queue))
    count = channel.vhost.delete_queue(
        name, channel.connection, if_unused=method.if_unused, if_empty=method.if_empty
    )
    _answer_durably(channel, commands.Queue.DeleteOk(count), method.nowait)


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
    if channel.mode == "tx":
        raise BrokerError(PRECONDITION_FAILED, "cannot switch from tx to confirm mode")
    channel.mode = "confirm"
    if not method.nowait:
        channel.send_method(commands.Confirm.SelectOk())


def _tx_select(channel: Channel, method: commands.Tx.Select, arguments: tables.Entries) -> None:
    if channel.mode == "confirm":
        raise BrokerError(PRECONDITION_FAILED, "cannot switch from confirm to tx mode")
    channel.mode = "tx"
    channel.send_method(commands.Tx.SelectOk())


def _assert_transactional(channel: Channel) -> None:
    if channel.mode != "tx":
        raise BrokerError(PRECONDITION_FAILED, "channel is not transactional")


def _tx_commit(channel: Channel, method: commands.Tx.Commit, arguments: tables.Entries) -> None:
    _assert_transactional(channel)
    channel.commit()


def _tx_rollback(channel: Channel, method: commands.Tx.Rollback, arguments: tables.Entries) -> None:
    _assert_transactional(channel)
    channel.roll_back()
    channel.send_method(commands.Tx.RollbackOk())


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
    commands.Basic.Qos: basic.qos,
    commands.Basic.Consume: basic.consume,
    commands.Basic.Cancel: basic.cancel,
    commands.Basic.Get: basic.get,
    commands.Basic.Ack: basic.ack,
    commands.Basic.Nack: basic.nack,
    commands.Basic.Reject: basic.reject,
    commands.Basic.Recover: basic.recover,
    commands.Basic.RecoverAsync: basic.recover,
    commands.Channel.Flow: _channel_flow,
    commands.Confirm.Select: _confirm_select,
    commands.Tx.Select: _tx_select,
    commands.Tx.Commit: _tx_commit,
    commands.Tx.Rollback: _tx_rollback,
}
