"""A channel that consumes: deliveries go straight to a function, acks leave together.

Its law: each delivery is handed over once, in order, in the same step in which it arrived; and an
ack is sent only for what was acked, one by one, or together for a prefix without a gap. A message
of more than `BODY_MAX` bytes is not even kept: the broker takes it back, for the ``.dead`` queue.

aiormq starts a task for each delivery and cancels it in mid-work when the channel closes (base.py,
``reject_all``). Here nothing works where frames are read: the function that is called puts the
delivery into a mailbox and returns.
"""

import struct
from collections.abc import Callable

import anyio
import msgspec
from aiormq import spec
from aiormq.abc import AbstractConnection, ChannelFrame, DeliveredMessage
from aiormq.channel import Channel

from runtime.amqp.content import Content, short_text
from runtime.amqp.frames import METHOD
from runtime.amqp.wire import encode_ack

BODY_MAX = 1 << 20  # our own messages are far below; a prefetch of the largest must fit in memory

_DELIVER = b"\x00\x3c\x00\x3c"
_TAG = struct.Struct(">Q?")

_Announced = tuple[int, bool, str, str]  # tag, redelivered, exchange, routing key


class Delivered(msgspec.Struct, frozen=True):
    """One delivery as it arrived; ``properties`` are the flags and values of its header."""

    tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes


class DeliveryChannel(Channel):
    """A consuming channel; see the module's law. Made by `Session.channel`.

    ``over`` is set when nothing more will be delivered: the channel ``ended``, or the broker has
    cancelled the consumer (its queue was deleted, its leader moved). ``reason`` says which.
    ``forsaken``: it ended here, and the broker was not told: there its consumer goes on.
    """

    def __init__(self, connection: AbstractConnection, number: int) -> None:
        super().__init__(connection, number, publisher_confirms=False)
        self.ended = anyio.Event()
        self.over = anyio.Event()
        self.reason = ""
        self.forsaken = False
        self._sink: Callable[[Delivered], None] = _nobody
        self._oversized: Callable[[bytes, int], None] = _nobody
        self._tag = ""
        self._announced: _Announced | None = None
        self._content = Content(BODY_MAX)
        self._acks: list[int] = []
        self._finished: set[int] = set()
        self._prefix = 0
        self._ending = self.closing
        self._ending.add_done_callback(lambda _: self._forsake())

    async def consume(
        self,
        queue: str,
        tag: str,
        prefetch: int,
        sink: Callable[[Delivered], None],
        oversized: Callable[[bytes, int], None],
    ) -> None:
        """Start consuming; ``sink`` is called for each delivery and must neither raise nor work.

        ``oversized`` is told the properties and the size of each message that was given back to the
        broker for its size.
        """
        await self.basic_qos(prefetch_count=prefetch)
        # Known before Basic.Consume leaves: the first delivery may come in the same read as its
        # answer.
        self._sink, self._oversized, self._tag = sink, oversized, tag
        await self.basic_consume(queue, _never, consumer_tag=tag)

    async def stop(self) -> None:
        """Cancel the consumer. Deliveries made until the broker's answer still reach the sink."""
        await self.basic_cancel(self._tag)

    def ack(self, tag: int) -> None:
        """Ack one delivery; all acks of one turn of the event loop leave in one write."""
        if not self._acks:
            self.loop.call_soon(self.flush)
        self._acks.append(tag)

    def flush(self) -> None:
        """Write the acks of this turn now."""
        acks, self._acks = sorted(self._acks), []
        if not acks or self.ended.is_set():
            return
        self._finished.update(acks)
        while self._prefix + 1 in self._finished:
            self._prefix += 1
            self._finished.discard(self._prefix)
        together = [tag for tag in acks if tag <= self._prefix]
        # The last of them is outstanding: "multiple" up to a tag acked before is a channel error.
        frames = [encode_ack(self.number, together[-1], multiple=True)] if together else []
        frames += [
            encode_ack(self.number, tag, multiple=False) for tag in acks if tag > self._prefix
        ]
        self.write_queue.put_nowait(ChannelFrame(b"".join(frames), should_close=False))

    def take(self, kind: int, payload: bytes) -> bool:
        """Take the frames of deliveries (`runtime.amqp.frames.Taker`)."""
        if self._announced is not None:
            if self._content.add(kind, payload):
                announced, self._announced = self._announced, None
                self._deliver(announced, self._content)
            return True
        if kind != METHOD or not payload.startswith(_DELIVER):
            return False
        self._announced, self._content = _announced(payload), Content(BODY_MAX)
        return True

    def _deliver(self, announced: _Announced, content: Content) -> None:
        if self.ended.is_set():
            return
        if content.oversized:
            self._reject(announced[0], content)
        else:
            self._sink(Delivered(*announced, content.properties, content.body))

    def _reject(self, tag: int, content: Content) -> None:
        self._finished.add(tag)
        refusal = spec.Basic.Reject(delivery_tag=tag, requeue=False)
        self.write_queue.put_nowait(ChannelFrame.marshall(self.number, [refusal]))
        self._oversized(content.properties, content.size)

    async def _on_cancel_frame(self, frame: spec.Basic.CancelOk | spec.Basic.Cancel) -> None:
        if isinstance(frame, spec.Basic.Cancel):
            self.reason = "the broker cancelled it: its queue was deleted, or has moved"
            self.over.set()
        await super()._on_cancel_frame(frame)

    async def _on_close_frame(self, frame: spec.Channel.Close) -> None:
        # Before the base class answers: an ack written after Close-Ok would be an error of the
        # whole connection (504).
        self.reason = f"the broker closed its channel: {frame.reply_text}"
        self._end()
        await super()._on_close_frame(frame)

    def _forsake(self) -> None:
        self.forsaken = not self.ended.is_set()
        self._end()

    def _end(self) -> None:
        self.reason = self.reason or "its channel ended"
        self.ended.set()
        self.over.set()


def _announced(payload: bytes) -> _Announced:
    at = 5 + payload[4]  # behind the consumer's tag: a channel has one consumer at a time
    tag, redelivered = _TAG.unpack_from(payload, at)
    exchange, at = short_text(payload, at + _TAG.size)
    routing_key, _ = short_text(payload, at)
    return tag, redelivered, exchange, routing_key


async def _never(message: DeliveredMessage) -> None:
    raise AssertionError("deliveries go to the sink")


def _nobody(*_: object) -> None:
    raise ValueError("a delivery before Basic.Consume")
