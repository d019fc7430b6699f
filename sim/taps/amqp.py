"""Somebody in the middle of one AMQP connection.

The law: each side sees a conversation that a correct other side could have had. Publishes that the
broker never got, deliveries that the client never settled and messages that nobody published are
lies about what happened, never about the protocol: numbers are translated (`sim.taps.channel`).
"""

from collections.abc import Callable, Sequence

from pamqp import commands
from pamqp.base import Frame as Method

from sim.incarnation import NOBODY
from sim.taps import frames
from sim.taps.channel import ChannelNumbers
from sim.taps.frames import Frame, Reader
from sim.taps.line import Line
from sim.taps.unit import Rules, Unit
from sim.watch.frames import short_texts
from sim.wire import Wire

OWN_CHANNEL = 2000
_GOODBYES = (
    commands.Channel.Close.index,
    commands.Channel.CloseOk.index,
    commands.Connection.Close.index,
    commands.Connection.CloseOk.index,
)


class AmqpTap:
    """See the module. ``client`` and ``server`` are the nodes at the two ends."""

    def __init__(self, wire: Wire, rules: Rules) -> None:
        self.wire = wire
        self.client, self.server = wire.nodes
        self.channels: dict[int, ChannelNumbers] = {}
        self.passed = 0
        self.watch: Callable[[AmqpTap], None] | None = None
        self._rules = rules
        self._up, self._down = Reader(opens=True), Reader(opens=False)
        self.line = Line(wire)
        self._closing: dict[bool, set[int]] = {True: set(), False: set()}
        self.owed = 0
        self._own = self._over = False

    @property
    def open(self) -> bool:
        """Whether the handshake is over, and nobody has said goodbye."""
        return bool(self.channels) and self.live and not self._over

    @property
    def live(self) -> bool:
        """Whether both ends still hold the connection."""
        return not (self.wire.client.lost or self.wire.server.lost)

    # -- the wire's side --------------------------------------------------------------------------

    def holds_back(self, end: str, *, to_server: bool) -> bool:
        """No: who says the end is heard, whatever is kept of what he has said."""
        return False

    def from_client(self, data: bytes) -> None:
        """Bytes are on their way to the broker."""
        for frame in () if self._over else self._up.take(data):
            self._from_client(frame)
            self._counted()
        self.line.flush()

    def from_server(self, data: bytes) -> None:
        """Bytes are on their way to the client."""
        for frame in () if self._over else self._down.take(data):
            self._from_server(frame)
            self._counted()
        self.line.flush()

    def _counted(self) -> None:
        self.passed += 1
        if self.watch is not None:
            self.watch(self)

    def _from_client(self, frame: Frame) -> None:
        channel = self.channels.get(frame.channel)
        if frame.channel in self._closing[True]:
            self._take_from_closed(frame)
        elif frame.kind == frames.HEARTBEAT:
            self.wire.pass_on(frame.raw, to_server=True)
        elif frame.code == frames.PUBLISH and channel is not None:
            channel.up.begin(frame)
        elif frame.kind in (frames.HEADER, frames.BODY) and channel is not None:
            self._add_to_publish(channel, frame)
        elif frame.code == frames.ACK and channel is not None:
            self._take_acks(channel, frame)
        else:
            self._note(frame, channel)
            self.line.up.append(frame.raw)

    def _from_server(self, frame: Frame) -> None:
        channel = self.channels.get(frame.channel)
        if frame.channel == OWN_CHANNEL:
            return
        if frame.channel in self._closing[False]:
            if frame.code == frames.CHANNEL_CLOSE_OK:
                self._closing[False].discard(frame.channel)
        elif frame.code in frames.WITH_CONTENT and channel is not None:
            channel.down.begin(frame)
        elif frame.kind in (frames.HEADER, frames.BODY) and channel is not None:
            self._add_to_delivery(channel, frame)
        elif frame.code in (frames.ACK, frames.NACK) and channel is not None:
            self._take_confirms(channel, frame)
        else:
            self._note(frame, channel)
            self.line.down.append(frame.raw)

    def _note(self, frame: Frame, channel: ChannelNumbers | None) -> None:
        if frame.code == frames.CHANNEL_OPEN:
            self.channels[frame.channel] = ChannelNumbers(frame.channel)
        elif frame.code in _GOODBYES:
            gone = [frame.channel] if frame.channel else list(self.channels)
            for number in gone:
                self.channels.pop(number, None)
        elif channel is not None and frame.code == frames.CONFIRM_SELECT:
            channel.confirming = True
        elif channel is not None and frame.code == frames.CONSUME:
            queue, consumer = short_texts(frame.payload, 6, 2)
            channel.queues[consumer] = queue

    # -- publishes --------------------------------------------------------------------------------

    def _add_to_publish(self, channel: ChannelNumbers, frame: Frame) -> None:
        whole = channel.up.add(frame)
        if whole is None:
            return
        exchange, key = short_texts(whole[0].payload, 6, 2)
        number = channel.published()
        unit = Unit("publish", channel, number, frames=whole, exchange=exchange, key=key)
        self._decide(unit, self.publish)

    def publish(self, unit: Unit) -> None:
        """Pass a publish on."""
        if self._open(unit):
            unit.numbers.forwarded(unit.tag)
            self.line.up += [frame.raw for frame in unit.frames]

    def refuse(self, unit: Unit) -> None:
        """Have the publisher told that the broker did not take his message."""
        unit.numbers.open.pop(unit.tag, None)
        self.line.down.append(frames.nack(unit.channel, unit.tag))

    def send_back(self, unit: Unit) -> None:
        """Have the publisher told that no queue took his message: returned, then acknowledged."""
        unit.numbers.open.pop(unit.tag, None)
        self.line.down += [
            frames.returned(unit.channel, unit.exchange, unit.key),
            *(frame.raw for frame in unit.frames[1:]),
            frames.ack(unit.channel, unit.tag),
        ]

    # -- confirms ---------------------------------------------------------------------------------

    def _take_confirms(self, channel: ChannelNumbers, frame: Frame) -> None:
        tag, multiple = frames.tag_of(frame)
        numbers = channel.confirmed(tag, multiple)
        if not channel.publishes_differ and not self._rules.any("confirm"):
            for number in numbers:
                channel.open.pop(number, None)
            self.line.down.append(frame.raw)
            return
        positive = frame.code == frames.ACK
        for number in numbers:
            self._decide(Unit("confirm", channel, number, positive=positive), self.confirm)

    def confirm(self, unit: Unit, *, multiple: bool = False) -> None:
        """Pass a confirm on; ``multiple``: for all publishes before it, too."""
        if self._open(unit):
            for number in [one for one in unit.numbers.open if one <= unit.tag]:
                if multiple or number == unit.tag:
                    del unit.numbers.open[number]
            made = (
                frames.ack(unit.channel, unit.tag, multiple=multiple)
                if unit.positive
                else frames.nack(unit.channel, unit.tag)
            )
            self.line.down.append(made)

    # -- deliveries -------------------------------------------------------------------------------

    def _add_to_delivery(self, channel: ChannelNumbers, frame: Frame) -> None:
        whole = channel.down.add(frame)
        if whole is None:
            return
        if whole[0].code != frames.DELIVER:
            self.line.down += [one.raw for one in whole]
            return
        consumer, tag, exchange, key = frames.delivery(whole[0])
        unit = Unit(
            "deliver",
            channel,
            tag,
            frames=whole,
            exchange=exchange,
            key=key,
            queue=channel.queues.get(consumer, ""),
        )
        self._decide(unit, self.deliver)

    def deliver(self, unit: Unit) -> int:
        """Pass a delivery on; return the tag by which the client knows it (0: he is gone)."""
        if not self._open(unit):
            return 0
        tag = unit.numbers.delivered(unit.tag, unit.queue)
        method, *content = unit.frames
        self.line.down.append(method.raw if tag == unit.tag else frames.retagged(method, tag))
        self.line.down += [frame.raw for frame in content]
        return tag

    def give_back(self, unit: Unit, tag: int) -> bool:
        """Have the broker take a delivery back that the client still has; False if he has not."""
        numbers = unit.numbers
        if not self._open(unit) or tag not in numbers.deliveries:
            return False
        numbers.deliveries_differ = True
        self.line.up.append(frames.requeue(numbers.number, numbers.forget(tag)))
        self.line.flush()
        return True

    def cancel(self, queue: str) -> bool:
        """End a consumer as the broker does when it must; False if there is none of this queue."""
        for channel in self.channels.values():
            for consumer, name in channel.queues.items():
                if name == queue:
                    del channel.queues[consumer]
                    for to_server in (True, False):
                        self.line.out[to_server].append(frames.cancel(channel.number, consumer))
                    self.line.flush()
                    return True
        return False

    # -- acks -------------------------------------------------------------------------------------

    def _take_acks(self, channel: ChannelNumbers, frame: Frame) -> None:
        tag, multiple = frames.tag_of(frame)
        tags = channel.acked(tag, multiple)
        if not channel.deliveries_differ and not self._rules.any("ack"):
            for one in tags:
                channel.forget(one)
            self.line.up.append(frame.raw)
            return
        for one in tags:
            unit = Unit("ack", channel, one, queue=channel.queue_of[one])
            self._decide(unit, self.ack)

    def ack(self, unit: Unit) -> None:
        """Pass an ack on."""
        if self._open(unit) and unit.tag in unit.numbers.deliveries:
            brokers = unit.numbers.forget(unit.tag)
            self.line.up.append(frames.ack(unit.channel, brokers))

    def lose_ack(self, unit: Unit) -> None:
        """Have the broker never hear of an ack, not even by a later one "for all before it"."""
        unit.numbers.forget(unit.tag)
        unit.numbers.deliveries_differ = True

    # -- the broker's own doing -------------------------------------------------------------------

    def operate(self, *methods: Method, content: bytes = b"") -> None:
        """Have the broker do something on a channel of our own; what it answers is for nobody."""
        if not self._own:
            self._own = True
            self.line.up.append(frames.method(OWN_CHANNEL, commands.Channel.Open()))
        self.line.up += [frames.method(OWN_CHANNEL, method) for method in methods]
        self.line.up.append(content)
        self.line.flush()

    def publish_strange(self, exchange: str, key: str, content: Sequence[Frame] | bytes) -> None:
        """Have the broker get a message that the client did not publish (or not again)."""
        if not isinstance(content, bytes):
            content = frames.on_channel(OWN_CHANNEL, content)
        method = commands.Basic.Publish(exchange=exchange, routing_key=key)
        self.operate(method, content=content)

    def close(self, numbers: ChannelNumbers, code: int, text: str) -> bool:
        """End a channel with an error, as the broker does; False if it has ended before."""
        number = numbers.number
        if self.channels.get(number) is not numbers:
            return False
        del self.channels[number]
        close = frames.method(number, commands.Channel.Close(code, text, 0, 0))
        for to_server in (True, False):
            self.line.out[to_server].append(close)
            self._closing[to_server].add(number)
        self.line.flush()
        return True

    def close_connection(self, code: int, text: str) -> None:
        """End the connection with an error, as the broker does."""
        close = frames.method(0, commands.Connection.Close(code, text, 0, 0))
        for to_server in (True, False):
            self.line.out[to_server].append(close)
        self.line.flush()
        self._over = True

    def _take_from_closed(self, frame: Frame) -> None:
        """A client who has not heard of the end yet: he is ignored, until he agrees."""
        if frame.code == frames.CHANNEL_CLOSE_OK:
            self._closing[True].discard(frame.channel)
        elif frame.code == commands.Channel.Close.index:
            self.line.down.append(frames.method(frame.channel, commands.Channel.CloseOk()))

    # -- a rule's means ---------------------------------------------------------------------------

    def _open(self, unit: Unit) -> bool:
        return self.channels.get(unit.channel) is unit.numbers

    def _decide(self, unit: Unit, pass_on: Callable[[Unit], object]) -> None:
        rule = self._rules.taking(self, unit)
        if rule is None:
            pass_on(unit)
        else:
            rule.act(self, unit)

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something later, as nobody's: only the connection's end prevents it (``owed``)."""
        self.owed += 1
        self.wire.loop.call_later(seconds, self._if_live, act, context=NOBODY)

    def _if_live(self, act: Callable[[], object]) -> None:
        self.owed -= 1
        if self.live:
            act()
            self.line.flush()

    def tell_client(self, method: Method) -> None:
        """Tell the client something about the connection that the broker did not say."""
        self.line.down.append(frames.method(0, method))
        self.line.flush()
