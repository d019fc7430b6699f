"""A channel that publishes: many messages in one write, and one certain outcome for each.

Its law: every message that `ConfirmChannel.send` took ends in exactly one outcome - confirmed,
refused, or unknown because the channel ended - and at most `window` are without one.

aiormq's own publish keeps a message waiting for the drain of each frame, and finds the message that
a Basic.Return belongs to by ``message_id`` alone: with two of one id in flight it reports the lost
one as confirmed (channel.py, ``_on_return_frame``). Here a second message of an id waits until the
first has its outcome. A returned message is acked after the return (RabbitMQ, "Confirms").
"""

import struct
from collections.abc import Sequence

import anyio
from aiormq import spec
from aiormq.abc import AbstractConnection, ChannelFrame
from aiormq.channel import Channel

from runtime.amqp.content import Content, short_text
from runtime.amqp.frames import METHOD
from runtime.amqp.wire import decode_properties, encode_publish
from runtime.errors import BrokerLost, PublishRefused, Unprocessable
from runtime.publishing import Outgoing

_RETURN, _ACK, _NACK = b"\x00\x3c\x00\x32", b"\x00\x3c\x00\x50", b"\x00\x3c\x00\x78"
_TAG = struct.Struct(">QB")


class Flight:
    """Messages that one `ConfirmChannel.send` took: their outcomes, complete once ``landed``."""

    def __init__(self, sent_at: float) -> None:
        self.sent_at = sent_at
        self.outcomes: list[Exception | None] = []
        self.landed = anyio.Event()
        self._open = 0

    def add(self, outcome: Exception | None, *, settled: bool) -> int:
        """Count one more message; return its place."""
        self.outcomes.append(outcome)
        self._open += not settled
        return len(self.outcomes) - 1

    def settle(self, place: int, failure: Exception | None) -> None:
        """Give the message at ``place`` its outcome; the first failure stays."""
        self.outcomes[place] = self.outcomes[place] or failure
        self._open -= 1
        self.close()

    def refuse(self, place: int, failure: Exception) -> None:
        """Note that the broker sent the message back; its ack is still to come."""
        self.outcomes[place] = failure

    def close(self) -> None:
        """Set ``landed`` if nothing is open."""
        if self._open == 0:
            self.landed.set()


class ConfirmChannel(Channel):
    """A publishing channel; see the module's law. Made by `Session.channel`."""

    window = 256

    def __init__(self, connection: AbstractConnection, number: int) -> None:
        super().__init__(connection, number, publisher_confirms=True)
        self.failure: Exception | None = None
        self.progress = anyio.Event()
        self._open: dict[int, tuple[Flight, int, str]] = {}
        self._tags: dict[str, int] = {}
        self._returned: str | None = None
        self._content = Content(body_max=0)
        self._ending = self.closing
        self._ending.add_done_callback(
            lambda _: self.fail(BrokerLost("the channel ended before the confirm"))
        )

    def send(self, messages: Sequence[Outgoing]) -> Flight:
        """Write as many as fit, from the first on, and return their flight (possibly empty).

        It stops at a full window, and before a message whose id is already in flight; wait for
        `progress` then. A message that no frame can carry has its outcome at once.
        """
        flight = Flight(anyio.current_time())
        frames: list[bytes] = []
        for outgoing in messages:
            message = outgoing.message
            if len(self._open) >= self.window or message.message_id in self._tags:
                break
            try:
                frames.append(self._encode(outgoing))
            except Unprocessable as error:
                flight.add(error, settled=True)
                continue
            self.delivery_tag += 1
            place = flight.add(None, settled=False)
            self._open[self.delivery_tag] = flight, place, message.message_id
            self._tags[message.message_id] = self.delivery_tag
        if frames:
            self.write_queue.put_nowait(ChannelFrame(b"".join(frames), should_close=False))
        flight.close()
        return flight

    def fail(self, failure: Exception) -> None:
        """Give everything in flight this outcome; nothing more is sent here."""
        if self.failure is None:
            self.failure = failure
        for flight, place, _ in self._open.values():
            flight.settle(place, failure)
        self._open.clear()
        self._tags.clear()
        self._advance()

    def take(self, kind: int, payload: bytes) -> bool:
        """Take confirms and returns (`runtime.amqp.frames.Taker`)."""
        if self._returned is not None:
            if self._content.add(kind, payload):
                returned, self._returned = self._returned, None
                self._refuse(returned, self._content.properties)
            return True
        method = payload[:4] if kind == METHOD else b""
        if method == _RETURN:
            self._returned, self._content = _returned(payload), Content(body_max=0)
        elif method in (_ACK, _NACK):
            tag, flags = _TAG.unpack_from(payload, 4)
            self._confirm(tag, bool(flags & 1), refused=method == _NACK)
        else:
            return False
        return True

    def _confirm(self, last: int, multiple: bool, *, refused: bool) -> None:
        refusal = None
        if refused:
            refusal = PublishRefused("the broker refused the message (nack): a queue is full")
        if multiple:
            for tag in list(self._open):  # insertion order: tags only grow
                if tag > last:
                    break
                self._settle(tag, refusal)
        else:
            self._settle(last, refusal)
        self._advance()

    def _refuse(self, where: str, properties: bytes) -> None:
        tag = self._tags.get(decode_properties(properties).message_id or "")
        if tag is not None:
            flight, place, _ = self._open[tag]
            flight.refuse(place, PublishRefused(f"no queue takes it ({where})"))

    async def _on_close_frame(self, frame: spec.Channel.Close) -> None:
        # Before the base class answers: a publish written after Close-Ok would be an error of the
        # whole connection (504).
        self.fail(BrokerLost(f"the broker closed the channel: {frame.reply_text}"))
        await super()._on_close_frame(frame)

    def _encode(self, outgoing: Outgoing) -> bytes:
        return encode_publish(
            self.number,
            outgoing.exchange,
            outgoing.routing_key,
            outgoing.message,
            self.connection.connection_tune.frame_max,
        )

    def _settle(self, tag: int, refusal: Exception | None) -> None:
        entry = self._open.pop(tag, None)
        if entry is not None:
            flight, place, message_id = entry
            del self._tags[message_id]
            flight.settle(place, refusal)

    def _advance(self) -> None:
        self.progress.set()
        self.progress = anyio.Event()


def _returned(payload: bytes) -> str:
    """Say where a message went that came back."""
    _, at = short_text(payload, 6)  # behind the reply's code
    exchange, at = short_text(payload, at)
    routing_key, _ = short_text(payload, at)
    return f"exchange {exchange!r}, routing key {routing_key!r}"
