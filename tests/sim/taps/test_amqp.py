"""The tap's bookkeeping: each side sees a conversation that a correct other side could have had."""

import random
from collections.abc import Callable, Iterator

import pytest
from pamqp import commands, frame, header

from sim.chance import Chance
from sim.loop import VirtualLoop
from sim.network import Network
from sim.seed import Seed
from sim.taps import frames
from sim.taps.amqp import AmqpTap
from sim.taps.frames import Frame, Reader
from sim.taps.unit import On, Rule, Rules, Unit
from sim.trace import Trace
from sim.wire import Wire


class Recorded:
    """A tap on a wire that keeps what leaves it, as methods by direction."""

    def __init__(self) -> None:
        seed = Seed(1)
        loop = self.loop = VirtualLoop(seed.stream("sched"), Trace(), steps_max=1000)
        network = Network(loop, Trace(), seed)
        self.rules = Rules()
        wire = Wire(network, 1, ("shop", "broker"), (1, 2))
        self.tap = AmqpTap(wire, self.rules)
        self.up, self.down = b"", b""
        wire.pass_on = self._pass_on  # type: ignore[method-assign]
        self.tap.from_client(b"AMQP\x00\x00\x09\x01" + method(1, commands.Channel.Open()))
        self.tap.from_client(method(1, commands.Confirm.Select()))
        self.tap.from_client(method(1, commands.Basic.Consume(queue="payment", consumer_tag="c")))
        self.up = b""

    def _pass_on(self, data: bytes, *, to_server: bool) -> None:
        if to_server:
            self.up += data
        else:
            self.down += data

    def rule(self, on: On, act: Callable[[AmqpTap, Unit], None], **limits: int) -> None:
        self.rules.add(Rule(on, act, Chance(random.Random(1), **limits)))  # type: ignore[arg-type]

    def publish(self, message_id: str) -> None:
        self.tap.from_client(publish(message_id))

    def sent(self) -> list[str]:
        """The ids of what has reached the broker."""
        found, self.up = [one for one in read(self.up) if one.kind == frames.HEADER], b""
        return [id_of(one) for one in found]

    def acks(self) -> list[tuple[str, int, bool]]:
        """The confirms, or acks, that have reached the client."""
        found, self.down = read(self.down), b""
        names = {frames.ACK: "ack", frames.NACK: "nack"}
        return [(names[one.code], *frames.tag_of(one)) for one in found if one.code in names]


def method(channel: int, body: object) -> bytes:
    data: bytes = frame.marshal(body, channel)  # type: ignore[arg-type]
    return data


def publish(message_id: str) -> bytes:
    properties = commands.Basic.Properties(message_id=message_id)
    head = header.ContentHeader(0, 2, properties)
    begin = method(1, commands.Basic.Publish(exchange="orders", routing_key="orders.x"))
    return begin + method(1, head) + b"\x03\x00\x01\x00\x00\x00\x02{}\xce"


def deliver(tag: int, message_id: str) -> bytes:
    head = header.ContentHeader(0, 0, commands.Basic.Properties(message_id=message_id))
    return method(1, commands.Basic.Deliver("c", tag, False, "", "payment")) + method(1, head)


def read(data: bytes) -> list[Frame]:
    return list(Reader(opens=False).take(data))


def id_of(found: Frame) -> str:
    head = header.ContentHeader()
    head.unmarshal(found.payload)
    return head.properties.message_id or ""


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    made = Recorded()
    yield made
    made.loop.finish()


def test_without_rules_every_byte_passes_as_it_came(recorded: Recorded) -> None:
    data = publish("a") + publish("b") + method(1, commands.Basic.Ack(0, True))
    for byte in data:
        recorded.tap.from_client(bytes((byte,)))
    assert recorded.up == data
    back = deliver(1, "m") + method(1, commands.Basic.Ack(2, True))
    recorded.tap.from_server(back)
    assert recorded.down == back


def test_a_swallowed_publish_leaves_the_confirms_of_the_others_right(recorded: Recorded) -> None:
    recorded.rule("publish", lambda tap, unit: None, left=1)
    for message_id in "abc":
        recorded.publish(message_id)
    assert recorded.sent() == ["b", "c"]
    recorded.tap.from_server(method(1, commands.Basic.Ack(2, True)))
    assert recorded.acks() == [("ack", 2, False), ("ack", 3, False)]


def test_a_refused_publish_is_told_under_the_clients_number(recorded: Recorded) -> None:
    recorded.publish("a")
    recorded.rule("publish", lambda tap, unit: tap.refuse(unit), left=1)
    recorded.publish("b")
    recorded.publish("c")
    assert recorded.sent() == ["a", "c"]
    recorded.tap.from_server(method(1, commands.Basic.Ack(2, False)))
    assert recorded.acks() == [("nack", 2, False), ("ack", 3, False)]


def test_deliveries_that_overtake_are_numbered_as_they_arrive(recorded: Recorded) -> None:
    kept: list[Unit] = []
    recorded.rule("deliver", lambda tap, unit: kept.append(unit), left=1)
    for tag, message_id in enumerate("abc", 1):
        recorded.tap.from_server(deliver(tag, message_id))
    recorded.tap.deliver(kept[0])
    recorded.tap.line.flush()
    arrived = read(recorded.down)
    assert [id_of(one) for one in arrived if one.kind == frames.HEADER] == ["b", "c", "a"]
    tags = [frames.delivery(one)[1] for one in arrived if one.code == frames.DELIVER]
    assert tags == [1, 2, 3]
    recorded.tap.from_client(method(1, commands.Basic.Ack(2, True)))
    assert [frames.tag_of(one) for one in read(recorded.up)] == [(2, False), (3, False)]


def test_what_was_given_back_cannot_be_acknowledged_any_more(recorded: Recorded) -> None:
    recorded.rule("deliver", lambda tap, unit: tap.give_back(unit, tap.deliver(unit)), left=1)  # type: ignore[arg-type,return-value]
    recorded.tap.from_server(deliver(1, "a") + deliver(2, "b"))
    given = [(one.code, frames.tag_of(one)[0]) for one in read(recorded.up)]
    assert given == [(frames.REJECT, 1)]
    recorded.up = b""
    recorded.tap.from_client(method(1, commands.Basic.Ack(2, True)))
    assert [frames.tag_of(one)[0] for one in read(recorded.up)] == [2]


def test_a_channel_that_the_tap_has_closed_is_deaf_until_both_agree(recorded: Recorded) -> None:
    recorded.tap.from_server(deliver(1, "a"))
    recorded.up = recorded.down = b""
    assert recorded.tap.close(recorded.tap.channels[1], 406, "gone")
    for data in (recorded.up, recorded.down):
        assert [one.code for one in read(data)] == [commands.Channel.Close.index]
    recorded.up = recorded.down = b""
    recorded.publish("a")
    recorded.tap.from_server(deliver(2, "b") + method(1, commands.Channel.CloseOk()))
    assert (recorded.up, recorded.down) == (b"", b"")
    recorded.tap.from_client(method(1, commands.Channel.CloseOk()))
    opening = method(1, commands.Channel.Open())
    recorded.tap.from_client(opening)
    assert recorded.up == opening


def test_a_confirm_that_outlives_its_channel_is_for_nobody(recorded: Recorded) -> None:
    kept: list[Unit] = []
    recorded.rule("confirm", lambda tap, unit: kept.append(unit))
    recorded.publish("a")
    recorded.tap.from_server(method(1, commands.Basic.Ack(1, False)))
    recorded.tap.from_client(method(1, commands.Channel.Close(200, "", 0, 0)))
    recorded.tap.from_client(method(1, commands.Channel.Open()))
    recorded.tap.confirm(kept[0])
    recorded.tap.line.flush()
    assert recorded.acks() == []


def test_the_answers_to_what_the_tap_does_itself_reach_nobody(recorded: Recorded) -> None:
    recorded.tap.operate(frames.purge("payment"))
    channel = read(recorded.up)[0].channel
    recorded.tap.from_server(method(channel, commands.Queue.PurgeOk(0)))
    assert recorded.down == b""


def test_kept_bytes_go_on_in_order_and_heartbeats_pass_them(recorded: Recorded) -> None:
    heartbeat = b"\x08\x00\x00\x00\x00\x00\x00\xce"
    recorded.tap.line.keep(to_server=True)
    recorded.publish("a")
    recorded.tap.from_client(heartbeat)
    recorded.publish("b")
    assert recorded.up == heartbeat
    recorded.tap.line.release()
    assert recorded.sent() == ["a", "b"]
