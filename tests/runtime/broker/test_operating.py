"""An operator's deeds on the core, and what he sees; scripts in operator.amqp compare RabbitMQ."""

import pytest
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from runtime.broker.broker import Broker
from runtime.broker.errors import BrokerError
from runtime.broker.operating import Operator
from tests.runtime.broker.conformance.targets import Moment
from tests.runtime.broker.test_broker import Client, make_broker, run_until

CAPABLE = {"capabilities": {"connection.blocked": True, "consumer_cancel_notify": True}}


@pytest.fixture
def clock() -> Moment:
    return Moment()


@pytest.fixture
def broker(clock: Moment) -> Broker:
    return make_broker(clock)


@pytest.fixture
def operator(broker: Broker) -> Operator:
    return Operator(broker)


def test_a_forced_close_gives_back_what_the_client_held(broker: Broker, operator: Operator) -> None:
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"))
    client.publish("q")
    client.say(1, commands.Basic.Get(0, "q"))
    client.hear()
    operator.close_connection(client.connection, "maintenance")
    [close] = client.hear()
    assert isinstance(close, commands.Connection.Close)
    assert (close.reply_code, close.reply_text) == (320, "CONNECTION_FORCED - maintenance")
    [queue] = operator.list_queues()
    assert (queue.messages_ready, queue.messages_unacknowledged) == (1, 0)


def test_closing_all_connections_of_a_vhost_spares_the_others(
    broker: Broker, operator: Operator
) -> None:
    client = Client(broker)
    operator.close_all_connections("no", vhost="other")
    assert client.hear() == []
    operator.close_all_connections("yes")
    assert client.names() == ["Connection.Close"]


def test_a_dropped_connection_hears_nothing_and_returns_everything(
    broker: Broker, operator: Operator
) -> None:
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"))
    client.publish("q")
    client.say(1, commands.Basic.Get(0, "q"))
    client.hear()
    operator.drop_connection(client.connection)
    assert client.connection.ending == "abort"
    assert client.hear() == []
    assert [one.redelivered for one in operator.list_messages("q")] == [True]


def test_a_failed_channel_and_a_failed_connection_say_why(
    broker: Broker, operator: Operator
) -> None:
    client = Client(broker)
    operator.fail_channel(client.connection.channels[1], 404, "no queue 'q' in vhost '/'")
    [close] = client.hear()
    assert isinstance(close, commands.Channel.Close)
    assert (close.reply_code, close.reply_text, close.class_id, close.method_id) == (
        404, "NOT_FOUND - no queue 'q' in vhost '/'", 0, 0,
    )  # fmt: skip
    operator.fail_connection(client.connection, 541, "disk on fire")
    [end] = client.hear()
    assert isinstance(end, commands.Connection.Close)
    assert (end.reply_code, end.reply_text) == (541, "INTERNAL_ERROR - disk on fire")


def test_a_cancelled_consumer_is_told_and_keeps_what_it_holds(
    broker: Broker, operator: Operator
) -> None:
    client = Client(broker, properties=CAPABLE)
    client.say(1, commands.Queue.Declare(0, "q"), commands.Basic.Consume(0, "q", "c"))
    client.publish("q")
    client.hear()
    assert operator.cancel_consumer("q", "c") == 1
    assert operator.cancel_consumer("q", "c") == 0
    assert client.names() == ["Basic.Cancel"]
    client.publish("q")
    assert client.hear() == []
    client.say(1, commands.Basic.Ack(1))
    [queue] = operator.list_queues()
    assert (queue.messages_ready, queue.messages_unacknowledged, queue.consumers) == (1, 0, 0)


def test_a_missing_queue_is_what_a_client_would_hear(operator: Operator) -> None:
    with pytest.raises(BrokerError, match="no queue 'q' in vhost '/'"):
        operator.purge_queue("q")


def test_an_observer_takes_nothing(broker: Broker, operator: Operator) -> None:
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"))
    for _ in range(3):
        client.publish("q")
    client.say(1, commands.Basic.Get(0, "q"), commands.Basic.Nack(1))
    before = operator.list_queues()
    listed = operator.list_messages("q")
    assert [(one.routing_key, one.redelivered) for one in listed] == [
        ("q", True),
        ("q", False),
        ("q", False),
    ]
    assert operator.list_queues() == before


def test_everything_that_there_is_is_listed(broker: Broker, operator: Operator) -> None:
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"), commands.Basic.Qos(0, 7))
    client.say(1, commands.Basic.Consume(0, "q", "c"), commands.Confirm.Select())
    client.publish("q")
    [connection] = operator.list_connections()
    assert (connection.number, connection.state, connection.user, connection.vhost) == (
        1, "running", "guest", "/",
    )  # fmt: skip
    [channel] = operator.list_channels()
    assert (channel.consumers, channel.messages_unacknowledged, channel.mode) == (1, 1, "confirm")
    [consumer] = operator.list_consumers()
    assert (consumer.queue, consumer.tag, consumer.prefetch) == ("q", "c", 7)
    [queue] = operator.list_queues()
    assert (queue.type, queue.messages_unacknowledged, queue.consumers) == ("classic", 1, 1)


def test_every_deed_says_that_it_is_done(broker: Broker) -> None:
    done: list[str] = []
    operator = Operator(broker, lambda: done.append("done"))
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"))
    operator.purge_queue("q")
    operator.delete_queue("q")
    operator.set_alarm("disk")
    operator.clear_alarm("disk")
    operator.close_connection(client.connection, "bye")
    assert len(done) == 5


def test_a_blocked_publisher_is_not_looked_at_until_all_alarms_are_gone(
    broker: Broker, operator: Operator
) -> None:
    client = Client(broker, properties=CAPABLE)
    client.say(1, commands.Queue.Declare(0, "q"))
    client.hear()
    operator.set_alarm("memory")
    operator.set_alarm("disk")
    parts = (commands.Basic.Publish(0, "", "q"), ContentHeader(0, 1), ContentBody(b"x"))
    client.feed(b"".join(frame.marshal(part, 1) for part in parts))
    [blocked] = client.hear()
    assert isinstance(blocked, commands.Connection.Blocked)
    assert blocked.reason == "low on memory & disk"
    client.say(1, commands.Queue.Declare(0, "q", passive=True))
    assert client.hear() == []
    assert [one.state for one in operator.list_connections()] == ["blocked"]
    operator.clear_alarm("memory")
    assert client.hear() == []
    operator.clear_alarm("disk")
    [unblocked, declared] = client.hear()
    assert isinstance(unblocked, commands.Connection.Unblocked)
    assert isinstance(declared, commands.Queue.DeclareOk)
    assert declared.message_count == 1


def test_a_blocked_client_is_not_dropped_for_its_silence(
    broker: Broker, operator: Operator, clock: Moment
) -> None:
    client = Client(broker, heartbeat=10)
    client.say(1, commands.Queue.Declare(0, "q"))
    operator.set_alarm("memory")
    client.publish("q")
    run_until(broker, clock, 100)
    assert client.connection.ending == ""
    operator.clear_alarm("memory")
    run_until(broker, clock, 19)
    assert client.connection.ending == ""
    run_until(broker, clock, 10)
    assert client.connection.ending == "abort"


@pytest.mark.parametrize("settled_after_s", [None, 1000.0])
def test_a_delivery_kept_for_too_long_closes_its_channel(
    broker: Broker, clock: Moment, settled_after_s: float | None
) -> None:
    client = Client(broker)
    client.say(1, commands.Queue.Declare(0, "q"), commands.Basic.Consume(0, "q", "c"))
    client.publish("q")
    client.hear()
    if settled_after_s is not None:
        run_until(broker, clock, settled_after_s)
        client.publish("q")
        client.say(1, commands.Basic.Ack(1))
        client.hear()
    run_until(broker, clock, 1799)
    assert client.hear() == []
    run_until(broker, clock, 1)
    [close] = client.hear()
    assert isinstance(close, commands.Channel.Close)
    assert close.reply_code == 406
    assert close.reply_text == (
        "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used:"
        " 1800000 ms. This timeout value can be configured, see consumers doc guide to learn more"
    )
