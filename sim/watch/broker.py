"""What passes between the broker and its clients: published, confirmed, delivered, acknowledged.

The broker's side of a wire tells what the broker got and gave, behind whatever sits on the wire;
the client's side tells what the client could know. Only wires that open with AMQP's greeting are
listened to.
"""

from collections.abc import Callable
from typing import NamedTuple

from sim.judges.observed import Consuming, Publication
from sim.watch import frames
from sim.watch.frames import Frame, Reader
from sim.wire import Wire


class Address(NamedTuple):
    """A message as its publisher addresses it."""

    message_id: str
    exchange: str
    routing_key: str


class Fate:
    """What one incarnation knows of a message that it has published."""

    __slots__ = ("acked", "returned", "sent")

    def __init__(self) -> None:
        self.sent = self.acked = self.returned = 0


class BrokerWatch:
    """Listens to every wire that speaks AMQP. ``clock``: virtual seconds and step of now."""

    def __init__(self, clock: Callable[[], tuple[float, int]]) -> None:
        self.clock = clock
        self.published: list[Publication] = []
        self.consuming: list[Consuming] = []
        self.fates: dict[tuple[str, int, Address], Fate] = {}
        self.links: list[Link] = []

    def listen(self, wire: Wire) -> None:
        """Listen to a new wire."""
        wire.listener = _Stranger(self, wire)

    def fate(self, node: str, incarnation: int, address: Address) -> Fate:
        """Return what became of a message, as far as this incarnation has seen."""
        return self.fates.setdefault((node, incarnation, address), Fate())

    def finish(self) -> None:
        """Account for channels that ended with their wires."""
        for link in self.links:
            if link.wire.server.lost:
                link.ended()

    def unacked(self) -> int:
        """Return how many deliveries are out on living channels."""
        return sum(
            len(channel.outstanding)
            for link in self.links
            if not link.wire.server.lost
            for channel in link.channels.values()
        )


class _Stranger:
    """Waits for a wire's first bytes."""

    def __init__(self, watch: BrokerWatch, wire: Wire) -> None:
        self._watch = watch
        self._wire = wire

    def wrote(self, data: bytes, *, client: bool) -> None:
        """An end has written: the client, or the server."""
        if client and data.startswith(frames.GREETING):
            link = Link(self._watch, self._wire)
            self._watch.links.append(link)
            self._wire.listener = link
            link.wrote(data, client=client)
        else:
            self._wire.listener = None

    def got(self, data: bytes, *, client: bool) -> None:
        """An end has been given bytes."""


class _Channel:
    """A channel as the broker's side sees it."""

    __slots__ = ("consumers", "outstanding", "prefetch")

    def __init__(self) -> None:
        self.prefetch = 0
        self.consumers: dict[str, Consuming] = {}
        self.outstanding: dict[int, Consuming] = {}


class _Confirms:
    """A channel in confirm mode as the client's side sees it: what is open, by its number."""

    __slots__ = ("last", "open")

    def __init__(self) -> None:
        self.last = 0
        self.open: dict[int, Fate] = {}


class Link:
    """One AMQP connection."""

    def __init__(self, watch: BrokerWatch, wire: Wire) -> None:
        self.wire = wire
        self.channels: dict[int, _Channel] = {}
        self._watch = watch
        self._node = wire.nodes[0]
        owner = wire.client.owner
        self._incarnation = 0 if owner is None else owner.number
        self._confirms: dict[int, _Confirms] = {}
        self._readers = {(client, got): Reader() for client in (0, 1) for got in (0, 1)}
        self._got: dict[int, Callable[[Frame], None]] = {
            frames.PUBLISH: self._published,
            frames.ACK: self._acked,
            frames.NACK: self._acked,
            frames.REJECT: self._acked,
            frames.QOS: self._qos,
            frames.CONSUME: self._consume,
            frames.CHANNEL_CLOSE: self._closed,
            frames.CHANNEL_CLOSED: self._closed,
        }
        self._gave: dict[int, Callable[[Frame], None]] = {
            frames.DELIVER: self._delivered,
            frames.GET_OK: self._fetched,
            frames.CHANNEL_CLOSE: self._closed,
            frames.CHANNEL_CLOSED: self._closed,
        }

    def wrote(self, data: bytes, *, client: bool) -> None:
        """An end has written bytes."""
        for frame in self._readers[client, False].feed(data):
            if not client:
                act = self._gave.get(frame.method)
                if act is not None:
                    act(frame)
            elif frame.method == frames.PUBLISH:
                self._sent(frame)
            elif frame.method == frames.CONFIRM_SELECT:
                self._confirms[frame.channel] = _Confirms()

    def got(self, data: bytes, *, client: bool) -> None:
        """Bytes have come to an end."""
        if client:
            if self._confirms:
                for frame in self._readers[True, True].feed(data):
                    self._told(frame)
            return
        for frame in self._readers[False, True].feed(data):
            act = self._got.get(frame.method)
            if act is not None:
                act(frame)

    # -- the client's side: what a publisher knows ------------------------------------------------

    def _sent(self, frame: Frame) -> None:
        confirms = self._confirms.get(frame.channel)
        if confirms is None:
            return
        exchange, routing_key = frames.short_texts(frame.payload, 2, 2)
        message_id = str(frames.properties(frame.header).get("message_id", ""))
        address = Address(message_id, exchange, routing_key)
        fate = self._watch.fate(self._node, self._incarnation, address)
        fate.sent += 1
        confirms.last += 1
        confirms.open[confirms.last] = fate

    def _told(self, frame: Frame) -> None:
        confirms = self._confirms.get(frame.channel)
        if confirms is None:
            return
        if frame.method in (frames.ACK, frames.NACK):
            tag, multiple = frames.tag_and_bit(frame.payload)
            tags = [one for one in confirms.open if one <= tag] if multiple else [tag]
            for one in tags:
                fate = confirms.open.pop(one, None)
                if fate is not None:
                    fate.acked += frame.method == frames.ACK
        elif frame.method == frames.RETURN:
            _, exchange, routing_key = frames.short_texts(frame.payload, 2, 3)
            message_id = str(frames.properties(frame.header).get("message_id", ""))
            address = Address(message_id, exchange, routing_key)
            self._watch.fate(self._node, self._incarnation, address).returned += 1

    # -- the broker's side ------------------------------------------------------------------------

    def _published(self, frame: Frame) -> None:
        exchange, routing_key = frames.short_texts(frame.payload, 2, 2)
        at, step = self._watch.clock()
        self._watch.published.append(
            Publication(at, step, self._node, exchange, routing_key, frame.header, frame.body)
        )

    def _channel(self, number: int) -> _Channel:
        found = self.channels.get(number)
        if found is None:
            found = self.channels[number] = _Channel()
        return found

    def _qos(self, frame: Frame) -> None:
        self._channel(frame.channel).prefetch = int.from_bytes(frame.payload[4:6], "big")

    def _consume(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        queue, tag = frames.short_texts(frame.payload, 2, 2)
        channel.consumers[tag] = self._consumer(queue, tag, channel.prefetch)

    def _consumer(self, queue: str, tag: str, prefetch: int) -> Consuming:
        made = Consuming(self._node, queue, tag, prefetch)
        self._watch.consuming.append(made)
        return made

    def _delivered(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        (tag,) = frames.short_texts(frame.payload, 0, 1)
        consumer = channel.consumers.get(tag)
        if consumer is None:
            consumer = channel.consumers[tag] = self._consumer("?", tag, 0)
        number, _ = frames.tag_and_bit(frame.payload[1 + len(tag.encode()) :])
        self._hand_out(channel, consumer, number)

    def _fetched(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        consumer = channel.consumers.get("")
        if consumer is None:
            consumer = channel.consumers[""] = self._consumer("", "", 0)
        self._hand_out(channel, consumer, frames.tag_and_bit(frame.payload)[0])

    def _hand_out(self, channel: _Channel, consumer: Consuming, number: int) -> None:
        channel.outstanding[number] = consumer
        consumer.delivered += 1
        held = consumer.delivered - consumer.acked - consumer.refused - consumer.back
        consumer.outstanding_max = max(consumer.outstanding_max, held)

    def _acked(self, frame: Frame) -> None:
        channel = self._channel(frame.channel)
        tag, bit = frames.tag_and_bit(frame.payload)
        outstanding = channel.outstanding
        if bit and frame.method != frames.REJECT:
            tags = [one for one in outstanding if one <= tag] if tag else list(outstanding)
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
        channel = self.channels.pop(frame.channel, None)
        if channel is not None:
            self._end(channel)

    def ended(self) -> None:
        """The wire is gone, and every channel with it."""
        for channel in self.channels.values():
            self._end(channel)
        self.channels.clear()

    def _end(self, channel: _Channel) -> None:
        for consumer in channel.outstanding.values():
            consumer.back += 1
        for consumer in channel.consumers.values():
            consumer.open = False
        channel.outstanding.clear()
