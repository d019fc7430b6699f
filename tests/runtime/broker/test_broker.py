"""The core with two ends back to back in memory: journal marks, full buffers, time, determinism."""

import pytest
from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.common import FieldTable
from pamqp.header import ContentHeader, ProtocolHeader

from runtime.broker.broker import HANDSHAKE_S_MAX, Broker
from runtime.broker.protocol import BUFFERED_BYTES_MAX, Connection
from runtime.broker.records import Bound, QueueDeclared, Record, Removed, Stored
from tests.runtime.broker.conformance.targets import Moment

PERSISTENT = commands.Basic.Properties(delivery_mode=2)


class Client:
    """The other end: says methods, hears frames."""

    def __init__(
        self, broker: Broker, *, heartbeat: int = 0, properties: FieldTable | None = None
    ) -> None:
        self.broker = broker
        self.connection: Connection = broker.connect()
        self.feed(ProtocolHeader().marshal())
        self.say(
            0, commands.Connection.StartOk(properties or {}, "PLAIN", "\0guest\0guest", "en_US")
        )
        self.say(0, commands.Connection.TuneOk(2047, 131072, heartbeat))
        self.say(0, commands.Connection.Open("/"))
        self.say(1, commands.Channel.Open())
        self.hear()

    def feed(self, data: bytes) -> None:
        self.broker.receive(self.connection, data)

    def say(self, channel: int, *methods: Frame) -> None:
        self.feed(b"".join(frame.marshal(method, channel) for method in methods))

    def publish(self, queue: str, properties: commands.Basic.Properties | None = None) -> None:
        header = ContentHeader(0, 0, properties or commands.Basic.Properties())
        parts = (commands.Basic.Publish(0, "", queue), header)
        self.feed(b"".join(frame.marshal(part, 1) for part in parts))

    def hear(self) -> list[object]:
        """Everything that has come since the last time."""
        data, found = self.connection.take_output(), list[object]()
        while data:
            size, _, part = frame.unmarshal(data)
            data = data[size:]
            found.append(part)
        return found

    def names(self) -> list[str]:
        return [getattr(part, "name", "") for part in self.hear()]


@pytest.fixture
def clock() -> Moment:
    return Moment()


def make_broker(clock: Moment, *, journalled: bool = False) -> Broker:
    numbers = iter(range(1000))
    return Broker(
        clock, users={"guest": "guest"}, token=lambda: f"{next(numbers)}", journalled=journalled
    )


@pytest.fixture
def broker(clock: Moment) -> Broker:
    return make_broker(clock, journalled=True)


def run_until(broker: Broker, clock: Moment, seconds: float) -> None:
    limit = clock.time + seconds
    while (due := broker.next_timer()) is not None and due <= limit:
        clock.time = due
        broker.run_timers()
    clock.time = limit


def commit(broker: Broker) -> list[Record]:
    batch = broker.take_records()
    if batch is None:
        return []
    broker.committed(batch.mark)
    return batch.records


def test_a_durable_declare_is_answered_after_its_commit(broker: Broker) -> None:
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q", durable=True))
    assert client.names() == []
    [record] = commit(broker)
    assert isinstance(record, QueueDeclared)
    assert client.names() == ["Queue.DeclareOk"]


def test_a_persistent_message_is_confirmed_after_its_commit(broker: Broker) -> None:
    client = Client(broker)
    client.say(1, commands.Confirm.Select(), commands.Queue.Declare(0, "q", durable=True))
    commit(broker)
    client.hear()
    client.publish("q", PERSISTENT)
    assert client.names() == []
    [record] = commit(broker)
    assert isinstance(record, Stored)
    assert client.names() == ["Basic.Ack"]


def test_what_is_not_durable_waits_for_nothing(broker: Broker) -> None:
    client = Client(broker)
    client.say(1, commands.Confirm.Select(), commands.Queue.Declare(0, "q"))
    client.publish("q", PERSISTENT)
    client.publish("nowhere", PERSISTENT)
    assert client.names()[-1] == "Basic.Ack"
    assert commit(broker) == []


def test_confirms_of_one_commit_are_one_frame(broker: Broker) -> None:
    client = Client(broker)
    client.say(1, commands.Confirm.Select(), commands.Queue.Declare(0, "q", durable=True))
    commit(broker)
    client.hear()
    for _ in range(5):
        client.publish("q", PERSISTENT)
    commit(broker)
    [ack] = client.hear()
    assert isinstance(ack, commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (5, True)


def test_an_early_mark_confirms_no_later_publish(broker: Broker) -> None:
    client = Client(broker)
    client.say(1, commands.Confirm.Select(), commands.Queue.Declare(0, "q", durable=True))
    commit(broker)
    client.hear()
    client.publish("q", PERSISTENT)
    first = broker.take_records()
    client.publish("q", PERSISTENT)
    assert first is not None
    broker.committed(first.mark)
    [ack] = client.hear()
    assert isinstance(ack, commands.Basic.Ack)
    assert (ack.delivery_tag, ack.multiple) == (1, False)


def test_an_ack_and_a_binding_are_recorded(broker: Broker) -> None:
    client = Client(broker)
    client.say(
        1,
        commands.Queue.Declare(0, "q", durable=True),
        commands.Queue.Bind(0, "q", "amq.topic", "#"),
    )
    client.publish("q", PERSISTENT)
    assert Bound in [type(record) for record in commit(broker)]
    client.say(1, commands.Basic.Get(0, "q"), commands.Basic.Ack(1))
    assert Removed in [type(record) for record in commit(broker)]


def test_a_client_that_does_not_read_is_not_delivered_to(broker: Broker) -> None:
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"), commands.Basic.Consume(0, "q", "c"))
    client.hear()
    broker.pause(client.connection)
    client.publish("q")
    assert client.names() == []
    broker.resume(client.connection)
    assert client.names()[0] == "Basic.Deliver"


def test_output_is_bounded_until_it_is_taken(clock: Moment) -> None:
    broker = make_broker(clock)
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"))
    for _ in range(10_000):
        client.publish("q")
    client.say(1, commands.Basic.Consume(0, "q", "c", no_ack=True))
    delivered = 0
    while data := client.connection.take_output():
        assert len(data) < BUFFERED_BYTES_MAX + 1000
        delivered += data.count(b"\x00\x3c\x00\x3c")
        broker.serve(client.connection)
    assert delivered == 10_000


def test_a_silent_client_is_dropped_after_two_heartbeats(broker: Broker, clock: Moment) -> None:
    client = Client(broker, heartbeat=10)
    run_until(broker, clock, 19)
    assert client.connection.ending == ""
    assert client.names() == ["Heartbeat"] * 3
    run_until(broker, clock, 10)
    assert client.connection.ending == "abort"


def test_a_client_that_never_logs_in_is_dropped(broker: Broker, clock: Moment) -> None:
    connection = broker.connect()
    broker.receive(connection, b"AMQP")
    run_until(broker, clock, HANDSHAKE_S_MAX + 1)
    assert connection.ending == "abort"


def test_bytes_may_come_one_by_one(clock: Moment) -> None:
    broker = make_broker(clock)
    client = Client(broker)
    whole = frame.marshal(commands.Queue.Declare(0, "q"), 1)
    for byte in whole:
        client.feed(bytes((byte,)))
    assert client.names() == ["Queue.DeclareOk"]


def test_names_are_any_bytes_that_fit(clock: Moment) -> None:
    # pamqp would refuse to encode such a name, so the frames are made by hand.
    client = Client(make_broker(clock))
    name = 'fällig! "q"'.encode()
    short = bytes((len(name),)) + name
    declare = b"\x00\x32\x00\x0a\x00\x00" + short + b"\x00" + bytes(4)
    publish = b"\x00\x3c\x00\x28\x00\x00\x00" + short + b"\x01"
    get = b"\x00\x3c\x00\x46\x00\x00" + short + b"\x01"
    elsewhere = publish.replace(short, b"\x01!")
    for payload in (declare, publish, elsewhere, get):
        head = b"\x01\x00\x01" + len(payload).to_bytes(4, "big")
        client.feed(head + payload + b"\xce")
        if payload in (publish, elsewhere):
            client.feed(frame.marshal(ContentHeader(), 1))
    heard = client.connection.take_output()
    assert heard.count(name) == 2
    assert b"NO_ROUTE" in heard


def test_a_lost_connection_gives_back_and_deletes_what_was_its_own(clock: Moment) -> None:
    broker = make_broker(clock)
    first, second = Client(broker), Client(broker)
    first.say(1, commands.Queue.Declare(0, "own", exclusive=True))
    first.say(1, commands.Queue.Declare(0, "q"))
    first.publish("q")
    first.say(1, commands.Basic.Get(0, "q"))
    broker.disconnected(first.connection)
    second.say(1, commands.Basic.Get(0, "q"))
    [get, *_] = second.hear()
    assert isinstance(get, commands.Basic.GetOk)
    assert get.redelivered
    assert list(broker.vhosts["/"].queues) == ["q"]
    assert broker.statistics().connections == 1


def test_a_body_longer_than_announced_closes_the_connection(clock: Moment) -> None:
    # RabbitMQ 3.10 takes such a frame and never answers; we say what is wrong.
    client = Client(make_broker(clock))
    header = ContentHeader(0, 1)
    publish = commands.Basic.Publish(0, "", "q")
    client.feed(frame.marshal(publish, 1) + frame.marshal(header, 1))
    client.feed(bytes.fromhex("030001000000026162ce"))
    [close] = client.hear()
    assert isinstance(close, commands.Connection.Close)
    assert close.reply_code == 505


@pytest.mark.parametrize("garbage", [bytes(64), b"\xff" * 64, b"GET / HTTP/1.1\r\n\r\n" * 4])
def test_garbage_ends_the_connection_and_nothing_else(clock: Moment, garbage: bytes) -> None:
    broker = make_broker(clock)
    healthy = Client(broker)
    connection = broker.connect()
    broker.receive(connection, garbage)
    assert connection.ending
    healthy.say(1, commands.Queue.Declare(0, "q"))
    assert healthy.names() == ["Queue.DeclareOk"]


def test_the_same_calls_give_the_same_bytes() -> None:
    def run() -> bytes:
        clock = Moment()
        broker = make_broker(clock, journalled=True)
        clients = [Client(broker) for _ in range(3)]
        heard = bytearray()
        for client in clients:
            client.say(1, commands.Queue.Declare(0, "", exclusive=True))
            client.say(1, commands.Queue.Declare(0, "q", durable=True))
            client.say(1, commands.Basic.Consume(0, "q", ""))
        for _ in range(20):
            clients[0].publish("q", PERSISTENT)
            commit(broker)
        broker.disconnected(clients[1].connection)
        for client in clients:
            heard += client.connection.take_output()
        return bytes(heard)

    assert run() == run()
