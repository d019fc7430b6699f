"""One connection as a state machine: bytes in, bytes out, no I/O, no clock of its own.

    header -> starting -> tuning -> opening -> running -> closing -> closed

`_TABLE` says which method of channel 0 is welcome in which state, what it does, and which state
comes next; the states carry RabbitMQ's names because its error texts quote them. Channels exist in
`running` only. Every error leaves through `_fail`: soft ones close the channel, hard ones the
connection (AMQP 0-9-1, 2.2.4; RabbitMQ's rabbit_reader.erl).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pamqp import commands
from pamqp.base import Frame

from runtime.broker import handshake, methods, tables, wire
from runtime.broker.channel import Channel
from runtime.broker.errors import (
    CHANNEL_ERROR,
    CONNECTION_FORCED,
    NOT_ALLOWED,
    UNEXPECTED_FRAME,
    BrokerError,
    HangUp,
)

if TYPE_CHECKING:
    from runtime.broker.broker import Broker

State = Literal["header", "starting", "tuning", "opening", "running", "closing", "closed"]
Ending = Literal["", "close", "abort"]

BUFFERED_BYTES_MAX = 262_144


class Connection:
    """The broker's end of one connection.

    Feed `receive`, send what `take_output` returns, and when ``ending`` is set, close (after the
    output) or abort. ``paused`` is the transport's word that it can take no more for now; while
    ``blocked``, the transport should not read: nothing that comes is looked at.
    """

    def __init__(self, broker: "Broker", number: int) -> None:
        self.broker = broker
        self.number = number
        self.state: State = "header"
        self.ending: Ending = ""
        self.user = ""
        self.wants_cancels = False
        self.wants_blocks = False
        self.blocked = False
        self.channels: dict[int, Channel] = {}
        self.frame_size_max = wire.FRAME_SIZE_MAX
        self.channels_max = handshake.CHANNELS_MAX
        self.heartbeat_s = 0
        self.received_at = broker.now()
        self.sent_at = broker.now()
        self.received_bytes = 0
        self.paused = False
        self.starved = False
        self.vhost_name = ""
        self.splitter = wire.Splitter()
        self._out: list[bytes] = []
        self._buffered = 0

    # -- out --------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Queue bytes for the transport."""
        if not self.ending:
            self._out.append(data)
            self._buffered += len(data)
            self.broker.has_output(self)

    def send_heartbeat(self) -> None:
        """Say that we are alive."""
        self.send(wire.HEARTBEAT_FRAME)

    def has_room(self) -> bool:
        """Whether more deliveries may be queued; if not, the connection is served again later."""
        if self.paused or self._buffered > BUFFERED_BYTES_MAX:
            self.starved = True
            return False
        return True

    def take_output(self) -> bytes:
        """What to send now."""
        data = b"".join(self._out)
        self._out.clear()
        self._buffered = 0
        if data:
            self.sent_at = self.broker.now()
        return data

    def end(self, how: Ending) -> None:
        """Close after the output, or abort. Everything the connection held goes back."""
        if not self.ending:
            self.ending = how
            self.state = "closed"
            self.release()
            self.broker.has_output(self)

    def release(self) -> None:
        """Close all channels and delete exclusive queues."""
        channels = list(self.channels.values())
        self.channels.clear()
        # First all of them stop: what comes back from one does not go out on the next.
        for channel in channels:
            channel.stop()
        for channel in channels:
            channel.close()
        self.broker.drop_exclusive_queues(self)

    # -- in ---------------------------------------------------------------------------------------

    def receive(self, data: bytes) -> None:
        """Take bytes from the client."""
        self.received_at = self.broker.now()
        self.received_bytes += len(data)
        if self.blocked:
            self.splitter.keep(data)
            return
        try:
            if self.state == "header":
                header = self.splitter.take_header(data)
                if header is None:
                    return
                self._take_header(header)
                data = b""
            for kind, number, payload in self.splitter.frames(data):
                self._take_frame(kind, number, payload)
                self.broker.settle()
                if self.ending or self.blocked:
                    return
        except HangUp:
            self.end("abort")
        except BrokerError as error:
            self._fail(0, error)

    def _take_header(self, header: bytes) -> None:
        if header not in wire.PROTOCOL_HEADERS_TAKEN:
            self.send(wire.PROTOCOL_HEADER)
            self.end("close")
            return
        self.state = "starting"
        handshake.start(self)

    def _take_frame(self, kind: int, number: int, payload: bytes) -> None:
        if kind == wire.HEARTBEAT:
            return
        try:
            if number == 0:
                self._take_connection_frame(kind, payload)
            elif self.state == "running":
                self._take_channel_frame(kind, number, payload)
            elif self.state != "closing":
                text = f"unexpected method in connection state {self.state}"
                raise BrokerError(CHANNEL_ERROR, text, 0)
        except BrokerError as error:
            self._fail(number, error)

    def _take_connection_frame(self, kind: int, payload: bytes) -> None:
        if kind != wire.METHOD:
            if self.state == "closing":
                return
            self._refuse_frame(kind, payload)
        index = wire.index_of(payload)
        method = wire.decoded(index, payload)
        step = _TABLE.get((self.state, type(method)))
        if step is None:
            if self.state == "closing":
                return
            text = f"unexpected method in connection state {self.state}"
            raise BrokerError(CHANNEL_ERROR, text, index)
        act, following = step
        act(self, method)
        if not self.ending and self.state != "closing":
            self.state = following

    def _take_channel_frame(self, kind: int, number: int, payload: bytes) -> None:
        channel = self.channels.get(number)
        if channel is None or channel.closing:
            self._take_frame_of_closed_channel(kind, number, channel, payload)
        elif kind == wire.METHOD:
            channel.contents.expect_method()
            self._take_method(channel, payload)
        elif kind == wire.HEADER:
            if channel.contents.take_header(payload):
                channel.publish()
            self._block_if_low()
        elif kind == wire.BODY:
            if channel.contents.take_body(payload):
                channel.publish()
            self._block_if_low()
        else:
            self._refuse_frame(kind, payload)

    def _block_if_low(self) -> None:
        """Who publishes while the broker is low on something is not read from until it is not."""
        alarms = self.broker.alarms
        if alarms and not self.blocked and self.state == "running":
            self.blocked = True
            if self.wants_blocks:
                reason = f"low on {' & '.join(alarms)}"
                self.send(wire.method(0, commands.Connection.Blocked(reason)))
            self.broker.has_output(self)

    def unblock(self) -> None:
        """The broker has what it needs again: go on where the client was stopped."""
        if self.blocked:
            self.blocked = False
            self.received_at = self.broker.now()
            self.broker.has_output(self)
            if self.wants_blocks:
                self.send(wire.method(0, commands.Connection.Unblocked()))
            self.receive(b"")

    def _refuse_frame(self, kind: int, payload: bytes) -> None:
        if kind in (wire.HEADER, wire.BODY):
            text = "expected method frame, got non method frame instead"
            raise BrokerError(UNEXPECTED_FRAME, text, 0)
        raise wire.bad_frame(kind, payload, "unknown_frame")

    def _take_method(self, channel: Channel, payload: bytes) -> None:
        index = wire.index_of(payload)
        if index == wire.ACCESS_REQUEST_INDEX:
            # From AMQP 0-9, kept by RabbitMQ: whoever asks for access is told that he has it.
            channel.send(wire.access_request_ok(channel.number))
        elif index == wire.PUBLISH_INDEX:
            channel.contents.begin(*wire.decoded_publish(payload))
        elif index == wire.ACK_INDEX:
            try:
                channel.settle(*wire.decoded_ack(payload), "ack")
            except BrokerError as error:
                error.method = index
                raise
        else:
            method = wire.decoded(index, payload)
            if isinstance(method, commands.Channel.Open):
                raise BrokerError(CHANNEL_ERROR, "second 'channel.open' seen", index)
            if isinstance(method, commands.Channel.Close):
                channel.close()
                channel.send_method(commands.Channel.CloseOk())
                del self.channels[channel.number]
            else:
                raw = wire.argument_table(index, payload)
                methods.handle(channel, method, tables.entries(raw))

    def _take_frame_of_closed_channel(
        self, kind: int, number: int, channel: Channel | None, payload: bytes
    ) -> None:
        """A channel that we closed ignores everything until the client agrees."""
        index = wire.index_of(payload) if kind == wire.METHOD else 0
        if channel is not None and index == commands.Channel.CloseOk.index:
            del self.channels[number]
            channel.release()
        elif channel is not None and index == commands.Channel.Close.index:
            self.send(wire.method(number, commands.Channel.CloseOk()))
        elif index == commands.Channel.Open.index:
            # RabbitMQ would ignore an open before the close-ok; some clients skip that close-ok.
            if channel is not None:
                del self.channels[number]
                channel.release()
            self._open_channel(number)
        elif channel is None:
            raise BrokerError(CHANNEL_ERROR, "expected 'channel.open'", index)

    def _open_channel(self, number: int) -> None:
        if len(self.channels) >= self.channels_max:
            text = f"number of channels opened ({len(self.channels)}) has reached the negotiated "
            text += f"channel_max ({self.channels_max})"
            raise BrokerError(NOT_ALLOWED, text, 0)
        vhost = self.broker.vhosts[self.vhost_name]
        self.channels[number] = Channel(self, number, vhost)
        self.send(wire.open_ok(number))

    # -- errors -----------------------------------------------------------------------------------

    def _fail(self, number: int, error: BrokerError) -> None:
        channel = self.channels.get(number)
        if error.closes_connection or channel is None:
            self.close(error.code, error.text, error.method or 0)
            return
        self.fail_channel(channel, error)

    def fail_channel(self, channel: Channel, error: BrokerError) -> None:
        """Close a channel with an error; it stays closing until the client agrees."""
        channel.shut()
        channel.send_method(commands.Channel.Close(error.code, error.text, *_blamed(error.method)))

    def close(self, code: int, text: str, method: int = 0) -> None:
        """Close the connection with an error, and wait for the client to agree.

        A client that has not logged in is told nothing, as in RabbitMQ.
        """
        if self.state in ("header", "starting", "tuning"):
            self.end("close")
            return
        self.send(wire.method(0, commands.Connection.Close(code, text, *_blamed(method))))
        if self.state == "opening":
            self.end("close")
            return
        self.state = "closing"
        self.release()
        self.broker.await_close(self)

    def force_close(self, reason: str) -> None:
        """Tell the client that it has to go (320); one that is not in yet is told nothing."""
        if self.state == "running":
            self.close(CONNECTION_FORCED, BrokerError(CONNECTION_FORCED, reason).text)
        else:
            self.end("close")

    # -- goodbye ----------------------------------------------------------------------------------

    def closed_by_client(self, method: Frame) -> None:
        """The client says goodbye."""
        self.release()
        self.send(wire.method(0, commands.Connection.CloseOk()))
        self.end("close")

    def close_agreed(self, method: Frame) -> None:
        """The client has heard that we close."""
        self.end("close")


def _blamed(method: int | None) -> tuple[int, int]:
    return ((method or 0) >> 16, (method or 0) & 0xFFFF)


Step = tuple[Callable[[Connection, Any], None], State]

_TABLE: dict[tuple[State, type[Frame]], Step] = {
    ("starting", commands.Connection.StartOk): (handshake.start_ok, "tuning"),
    ("tuning", commands.Connection.TuneOk): (handshake.tune_ok, "opening"),
    ("opening", commands.Connection.Open): (handshake.open_vhost, "running"),
    ("running", commands.Connection.UpdateSecret): (handshake.update_secret, "running"),
    ("running", commands.Connection.Close): (Connection.closed_by_client, "closed"),
    ("closing", commands.Connection.Close): (Connection.closed_by_client, "closed"),
    ("closing", commands.Connection.CloseOk): (Connection.close_agreed, "closed"),
}
