"""One connection as a state machine: bytes in, bytes out, no I/O, no clock of its own.

    header -> starting -> tuning -> opening -> running -> closing -> closed

`_TABLE` says which method of channel 0 is welcome in which state, what it does, and which state
comes next; the states carry RabbitMQ's names because its error texts quote them. Channels exist in
`running` only (`channel_frames`). Every error leaves through `_fail`: soft ones close the channel,
hard ones the connection (AMQP 0-9-1, 2.2.4; RabbitMQ's rabbit_reader.erl).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from pamqp import commands
from pamqp.base import Frame

from runtime.broker import channel_frames, decoding, handshake, wire
from runtime.broker.channel import Channel
from runtime.broker.errors import CHANNEL_ERROR, CONNECTION_FORCED, BrokerError, HangUp

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
        if kind == wire.HEARTBEAT and not number and not payload:
            return
        try:
            if number == 0:
                self._take_connection_frame(kind, payload)
            elif self.state == "running":
                channel_frames.take(self, kind, number, payload)
            elif self.state != "closing":
                text = f"unexpected method in connection state {self.state}"
                raise BrokerError(CHANNEL_ERROR, text, 0)
        except BrokerError as error:
            self._fail(number, error)

    def _take_connection_frame(self, kind: int, payload: bytes) -> None:
        if kind != wire.METHOD:
            if self.state == "closing":
                return
            raise channel_frames.misplaced(kind, payload)
        index = decoding.index_of(payload)
        method = decoding.decoded(index, payload)
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

    def block_if_low(self) -> None:
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
