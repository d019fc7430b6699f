"""What a publisher knows of its messages, from the bytes that it wrote and was given."""

import pytest
from pamqp import base, commands, frame, header

from sim.judges.observed import Fate
from sim.watch.client_side import Address, ClientSide, Fates

M1 = Address("m1", "orders", "orders.order-created")
PUBLISH = commands.Basic.Publish(0, M1.exchange, M1.routing_key)
RETURN = commands.Basic.Return(312, "NO_ROUTE", M1.exchange, M1.routing_key)


def said(method: base.Frame, channel: int, message_id: str = "") -> bytes:
    data = frame.marshal(method, channel)
    if message_id:
        told = commands.Basic.Properties(message_id=message_id)
        data += frame.marshal(header.ContentHeader(0, 0, told), channel)
    return data


class Publisher:
    """One process on one connection: ``channel`` is its publishing channel now."""

    def __init__(self) -> None:
        self.fates = Fates()
        self.channel = 0
        self._side = ClientSide(lambda: (0.0, 0), ("shop", 1), self.fates, [], [])

    def open(self) -> None:
        self.channel += 1
        self._side.wrote(said(commands.Confirm.Select(), self.channel))

    def publish(self, message_id: str = "m1") -> None:
        self._side.wrote(said(PUBLISH, self.channel, message_id))

    def returned(self, message_id: str = "m1") -> None:
        self._side.got(said(RETURN, self.channel, message_id))

    def told(self, method: base.Frame) -> None:
        self._side.got(said(method, self.channel))

    def fate(self, message_id: str = "m1") -> Fate:
        return self.fates.of(("shop", 1), M1._replace(message_id=message_id))


@pytest.fixture
def publisher() -> Publisher:
    publisher = Publisher()
    publisher.open()
    return publisher


def test_the_ack_of_what_came_back_says_nothing(publisher: Publisher) -> None:
    publisher.publish()
    publisher.returned()
    publisher.told(commands.Basic.Ack(1))
    assert publisher.fate() == Fate(sent=1, returned=1)


def test_what_came_back_before_its_channel_ended_does_not_count_against_a_later_ack(
    publisher: Publisher,
) -> None:
    publisher.publish()
    publisher.returned()
    publisher.told(commands.Channel.Close(406, "PRECONDITION_FAILED", 0, 0))
    publisher.open()
    publisher.publish()
    publisher.told(commands.Basic.Ack(1))
    assert publisher.fate() == Fate(sent=2, acked=1, returned=1)


def test_one_ack_for_several_says_nothing_of_the_one_that_came_back(publisher: Publisher) -> None:
    for message_id in ("m1", "m2", "m3", "m4"):
        publisher.publish(message_id)
    publisher.returned("m2")
    publisher.told(commands.Basic.Ack(3, multiple=True))
    fates = [publisher.fate(message_id) for message_id in ("m1", "m2", "m3", "m4")]
    assert [fate.acked for fate in fates] == [1, 0, 1, 0]
    assert [fate.behind for fate in fates] == [0, 0, 0, 1]


def test_of_two_of_one_id_the_first_came_back(publisher: Publisher) -> None:
    publisher.publish()
    publisher.publish()
    publisher.returned()
    publisher.told(commands.Basic.Ack(1))
    assert publisher.fate().acked == 0
    publisher.told(commands.Basic.Ack(2))
    assert publisher.fate() == Fate(sent=2, acked=1, returned=1)


def test_a_refusal_is_no_ack(publisher: Publisher) -> None:
    publisher.publish()
    publisher.told(commands.Basic.Nack(1))
    assert publisher.fate() == Fate(sent=1, nacked=1)
