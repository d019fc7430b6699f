"""The broker's side of one AMQP connection: what it got, what it gave, and what is out.

RabbitMQ's prefetch counts for each consumer on its own (basic.qos, global=false); what a channel
holds comes back when the channel ends, however it ends.
"""

from collections.abc import Callable

from sim.judges.observed import Consuming, Publication
from sim.watch import frames
from sim.watch.clock import Clock
from sim.watch.frames import Frame, Reader


class _Channel:
    __slots__ = ("consumers", "outstanding", "prefetch")

    def __init__(self) -> None:
        self.prefetch = 0
        self.consumers: dict[str, Consuming] = {}
        self.outstanding: dict[int, Consuming] = {}


class ServerSide:
    """``node`` is the client's."""

    def __init__(
        self,
        clock: Clock,
        node: str,
        published: list[Publication],
        consuming: list[Consuming],
    ) -> None:
        self.reader = Reader()
        self._clock = clock
        self._node = node
        self._publications = published
        self._consuming = consuming
        self._writing = Reader()
        self._channels: dict[int, _Channel] = {}
        self._on_got: dict[int, Callable[[Frame], None]] = {
            frames.PUBLISH: self._published,
            frames.ACK: self._acked,
            frames.NACK: self._acked,
            frames.REJECT: self._acked,
            frames.QOS: self._qos,
            frames.CONSUME: self._consume,
            frames.CHANNEL_CLOSED: self._closed,
        }
        # A channel that its client closes ends with the answer: until then it may deliver.
        self._on_gave: dict[int, Callable[[Frame], None]] = {
            frames.DELIVER: self._delivered,
            frames.GET_OK: self._fetched,
            frames.CHANNEL_CLOSE: self._closed,
            frames.CHANNEL_CLOSED: self._closed,
        }

    def got(self, data: bytes) -> None:
        """It has been given bytes."""
        for frame in self.reader.feed(data):
            act = self._on_got.get(frame.method)
            if act is not None:
                act(frame)

    def wrote(self, data: bytes) -> None:
        """It has written bytes."""
        for frame in self._writing.feed(data):
            act = self._on_gave.get(frame.method)
            if act is not None:
                act(frame)

    def unacked(self) -> int:
        """Return how many deliveries are out."""
        return sum(len(channel.outstanding) for channel in self._channels.values())

    def ended(self) -> None:
        """The connection is gone, and every channel with it."""
        for channel in self._channels.values():
            _end(channel)
        self._channels.clear()

    # -- frames -----------------------------------------------------------------------------------

    def _published(self, frame: Frame) -> None:
        exchange, routing_key = frames.short_texts(frame.payload, 2, 2)
        address = self._node, exchange, routing_key, frames.message_id(frame.header)
        content = frame.header, frame.body
        self._publications.append(Publication(*self._clock(), *address, *content))

    def _channel(self, number: int) -> _Channel:
        found = self._channels.get(number)
        if found is None:
            found = self._channels[number] = _Channel()
        return found

    def _qos(self, frame: Frame) -> None:
        self._channel(frame.channel).prefetch = int.from_bytes(frame.payload[4:6], "big")

    def _consume(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        queue, tag = frames.short_texts(frame.payload, 2, 2)
        channel.consumers[tag] = self._consumer(queue, tag, channel.prefetch)

    def _consumer(self, queue: str, tag: str, prefetch: int) -> Consuming:
        made = Consuming(self._node, queue, tag, prefetch)
        self._consuming.append(made)
        return made

    def _delivered(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        (tag,) = frames.short_texts(frame.payload, 0, 1)
        number, _ = frames.tag_and_bit(frame.payload[1 + len(tag.encode()) :])
        consumer = channel.consumers.get(tag)
        if consumer is None:
            consumer = channel.consumers[tag] = self._consumer("?", tag, 0)
        _hand_out(channel, consumer, number)

    def _fetched(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        consumer = channel.consumers.get("")
        if consumer is None:
            consumer = channel.consumers[""] = self._consumer("", "", 0)
        _hand_out(channel, consumer, frames.tag_and_bit(frame.payload)[0])

    def _acked(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        tag, bit = frames.tag_and_bit(frame.payload)
        outstanding = channel.outstanding
        if bit and frame.method != frames.REJECT:
            tags = [one for one in outstanding if one <= tag or not tag]
        else:
            tags = [tag] if tag in outstanding else []
        if not tags:
            for consumer in channel.consumers.values():
                consumer.strays += 1
        for one in tags:
            consumer = outstanding.pop(one)
            if frame.method == frames.ACK:
                consumer.acked += 1
            else:
                consumer.refused += 1

    def _closed(self, frame: Frame) -> None:
        channel = self._channels.pop(frame.channel, None)
        if channel is not None:
            _end(channel)


def _hand_out(channel: _Channel, consumer: Consuming, number: int) -> None:
    channel.outstanding[number] = consumer
    consumer.delivered += 1
    held = consumer.delivered - consumer.acked - consumer.refused - consumer.back
    consumer.outstanding_max = max(consumer.outstanding_max, held)


def _end(channel: _Channel) -> None:
    for consumer in channel.outstanding.values():
        consumer.back += 1
    for consumer in channel.consumers.values():
        consumer.open = False
    channel.outstanding.clear()
