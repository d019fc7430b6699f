"""A channel that publishes: many messages in one write, and one certain outcome for each.

Its law: every message that `ConfirmChannel.send` took ends in exactly one outcome - confirmed,
refused, or unknown because the channel ended - and at most `window` are without one.

aiormq's own publish keeps a message waiting for the drain of each frame, and finds the message that
a Basic.Return belongs to by ``message_id`` alone: with two of one id in flight it reports the lost
one as confirmed (channel.py, ``_on_return_frame``). Here a second message of an id waits until the
first has its outcome. A returned message is acked after the return (RabbitMQ, "Confirms").
"""

from collections.abc import Sequence

import anyio
from aiormq import spec
from aiormq.abc import (
    AbstractConnection,
    ChannelFrame,
    ConfirmationFrameType,
    DeliveredMessage,
)
from aiormq.channel import Channel
from pamqp.header import ContentHeader

from runtime.amqp.wire import encode_publish
from runtime.errors import BrokerLost, PublishRefused, Unprocessable
from runtime.publishing import Outgoing


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

    async def _on_confirm_frame(self, frame: ConfirmationFrameType) -> None:
        refusal = None
        if not isinstance(frame, spec.Basic.Ack):
            refusal = PublishRefused("the broker refused the message (nack): a queue is full")
        last = frame.delivery_tag or 0
        if getattr(frame, "multiple", False):
            for tag in list(self._open):  # insertion order: tags only grow
                if tag > last:
                    break
                self._settle(tag, refusal)
        else:
            self._settle(last, refusal)
        self._advance()

    async def _on_return_frame(self, frame: spec.Basic.Return) -> None:
        try:
            message = await self._returned(frame)
        except ValueError:
            # The base class closes the channel, and may wait long for the broker's answer.
            self.fail(BrokerLost("the broker sent frames out of order"))
            raise
        tag = self._tags.get(message.header.properties.message_id or "")
        if tag is not None:
            flight, place, _ = self._open[tag]
            where = f"exchange {frame.exchange!r}, routing key {frame.routing_key!r}"
            flight.refuse(place, PublishRefused(f"no queue takes it ({where})"))

    async def _returned(self, frame: spec.Basic.Return) -> DeliveredMessage:
        header = await self._get_frame()
        if not isinstance(header, ContentHeader):
            raise ValueError(f"expected a content header, got {header.name}")
        return await self._read_content(frame, header)

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
