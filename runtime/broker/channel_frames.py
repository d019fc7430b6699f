"""What a frame on a channel does: channels open and close, methods and contents find their way.

RabbitMQ's rabbit_reader.erl and rabbit_command_assembler.erl.
"""

from typing import TYPE_CHECKING

from pamqp import commands

from runtime.broker import decoding, methods, tables, wire
from runtime.broker.channel import Channel
from runtime.broker.contents import METHOD_EXPECTED
from runtime.broker.errors import CHANNEL_ERROR, NOT_ALLOWED, UNEXPECTED_FRAME, BrokerError

if TYPE_CHECKING:
    from runtime.broker.protocol import Connection


def take(connection: "Connection", kind: int, number: int, payload: bytes) -> None:
    """A frame has come on a channel of a running connection."""
    channel = connection.channels.get(number)
    if channel is None or channel.closing:
        _take_on_closed(connection, kind, number, channel, payload)
    elif kind == wire.METHOD:
        channel.contents.expect_method()
        _take_method(channel, payload)
    elif kind == wire.HEADER:
        if channel.contents.take_header(payload):
            channel.publish()
        connection.block_if_low()
    elif kind == wire.BODY:
        if channel.contents.take_body(payload):
            channel.publish()
        connection.block_if_low()
    else:
        raise misplaced(kind, payload)


def misplaced(kind: int, payload: bytes) -> BrokerError:
    """505 for a frame that does not belong there, 501 for one that is none."""
    if wire.is_frame(kind, payload):
        return BrokerError(UNEXPECTED_FRAME, f"type {kind}, {wire.quoted(payload)}", 0)
    return wire.bad_frame(kind, payload, "unknown_frame")


def _take_method(channel: Channel, payload: bytes) -> None:
    index = decoding.index_of(payload)
    if index == decoding.PUBLISH_INDEX:
        channel.contents.begin(*decoding.decoded_publish(payload))
    elif index == decoding.ACK_INDEX:
        try:
            channel.settle(*decoding.decoded_ack(payload), "ack")
        except BrokerError as error:
            error.method = index
            raise
    elif decoding.access_requested(index, payload):
        # From AMQP 0-9, kept by RabbitMQ: whoever asks for access is told that he has it.
        channel.send(wire.access_request_ok(channel.number))
    else:
        method = decoding.decoded(index, payload)
        if isinstance(method, commands.Channel.Open):
            raise BrokerError(CHANNEL_ERROR, "second 'channel.open' seen", index)
        if isinstance(method, commands.Channel.Close):
            channel.close()
            channel.send_method(commands.Channel.CloseOk())
            del channel.connection.channels[channel.number]
        else:
            raw = decoding.argument_table(index, payload)
            methods.handle(channel, method, tables.entries(raw))


def _take_on_closed(
    connection: "Connection", kind: int, number: int, channel: Channel | None, payload: bytes
) -> None:
    """A channel that we closed ignores everything until the client agrees."""
    if kind not in (wire.METHOD, wire.HEADER, wire.BODY):
        raise misplaced(kind, payload)
    index = decoding.index_of(payload) if kind == wire.METHOD else 0
    if channel is not None and index == commands.Channel.CloseOk.index:
        _forget(channel)
    elif channel is not None and index == commands.Channel.Close.index:
        connection.send(wire.method(number, commands.Channel.CloseOk()))
    elif index == commands.Channel.Open.index:
        # RabbitMQ would ignore an open before the close-ok; some clients skip that close-ok.
        if channel is not None:
            _forget(channel)
        _open(connection, number)
    elif channel is None and kind != wire.METHOD:
        raise BrokerError(UNEXPECTED_FRAME, METHOD_EXPECTED, 0)
    elif channel is None:
        raise BrokerError(CHANNEL_ERROR, "expected 'channel.open'", index)


def _forget(channel: Channel) -> None:
    del channel.connection.channels[channel.number]
    channel.release()


def _open(connection: "Connection", number: int) -> None:
    count, limit = len(connection.channels), connection.channels_max
    if count >= limit:
        text = f"number of channels opened ({count}) has reached the negotiated channel_max"
        raise BrokerError(NOT_ALLOWED, f"{text} ({limit})", 0)
    vhost = connection.broker.vhosts[connection.vhost_name]
    connection.channels[number] = Channel(connection, number, vhost)
    connection.send(wire.open_ok(number))
