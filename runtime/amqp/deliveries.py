"""A channel that consumes: deliveries go straight to a function, acks leave together.

Its law: each delivery is handed over once, in order, in the same step in which it was read; and an
ack is sent only for what was acked, one by one, or together for a prefix without a gap. A message
of more than `BODY_MAX` bytes is not even kept: the broker takes it back, for the ``.dead`` queue.

aiormq starts a task for each delivery and cancels it in mid-work when the channel closes (base.py,
``reject_all``). Here nothing works in the channel's reader: the function that is called puts the
delivery into a mailbox and returns.
"""

from collections.abc import Callable

import anyio
from aiormq import spec
from aiormq.abc import AbstractConnection, ChannelFrame, DeliveredMessage
from aiormq.channel import Channel
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from runtime.amqp.wire import encode_ack

BODY_MAX = 1 << 20  # our own messages are far below; a prefetch of the largest must fit in memory


class DeliveryChannel(Channel):
    """A consuming channel; see the module's law. Made by `Session.channel`.

    ``over`` is set when nothing more will be delivered: the channel ``ended``, or the broker has
    cancelled the consumer (its queue was deleted, its leader moved). ``reason`` says which.
    """

    def __init__(self, connection: AbstractConnection, number: int) -> None:
        super().__init__(connection, number, publisher_confirms=False)
        self.ended = anyio.Event()
        self.over = anyio.Event()
        self.reason = ""
        self._sink: Callable[[DeliveredMessage], None] = _nobody
        self._oversized: Callable[[ContentHeader], None] = _nobody
        self._tag = ""
        self._acks: list[int] = []
        self._finished: set[int] = set()
        self._prefix = 0
        self._ending = self.closing
        self._ending.add_done_callback(lambda _: self._end())

    async def consume(
        self,
        queue: str,
        tag: str,
        prefetch: int,
        sink: Callable[[DeliveredMessage], None],
        oversized: Callable[[ContentHeader], None],
    ) -> None:
        """Start consuming; ``sink`` is called for each delivery and must neither raise nor work.

        ``oversized`` is told of each message that was given back to the broker for its size.
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

    async def _on_deliver_frame(self, frame: spec.Basic.Deliver) -> None:
        try:
            await self._take(frame)
        except ValueError:
            # Frames out of order. The base class closes the channel, and may wait long for the
            # broker's answer: nothing more is delivered from now on.
            self.reason = "the broker sent frames out of order"
            self._end()
            raise

    async def _take(self, frame: spec.Basic.Deliver) -> None:
        header = await self._get_frame()
        if not isinstance(header, ContentHeader):
            raise ValueError(f"expected a content header, got {header.name}")
        if (header.body_size or 0) > BODY_MAX:
            await self._reject(frame.delivery_tag or 0, header)
        else:
            self._sink(await self._read_content(frame, header))

    async def _reject(self, tag: int, header: ContentHeader) -> None:
        left = header.body_size or 0
        while left > 0:
            part = await self._get_frame()
            if not isinstance(part, ContentBody):
                raise ValueError(f"expected a part of a body, got {part.name}")
            left -= len(part)
        self._finished.add(tag)
        refusal = spec.Basic.Reject(delivery_tag=tag, requeue=False)
        self.write_queue.put_nowait(ChannelFrame.marshall(self.number, [refusal]))
        self._oversized(header)

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

    def _end(self) -> None:
        self.reason = self.reason or "its channel ended"
        self.ended.set()
        self.over.set()


async def _never(message: DeliveredMessage) -> None:
    raise AssertionError("deliveries go to the sink")


def _nobody(message: DeliveredMessage | ContentHeader) -> None:
    raise AssertionError("a delivery before Basic.Consume")
