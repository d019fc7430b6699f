"""Killed without warning, the broker comes back with everything it has confirmed."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pika
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from tests.harness.broker_process import BrokerProcess

PERSISTENT = pika.BasicProperties(delivery_mode=2)
QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 5}


def connected(broker: BrokerProcess) -> pika.BlockingConnection:
    credentials = pika.PlainCredentials("guest", "guest")
    return pika.BlockingConnection(
        pika.ConnectionParameters("127.0.0.1", broker.port, credentials=credentials)
    )


@contextmanager
def until_killed(folder: Path) -> Iterator[BlockingChannel]:
    """A channel on a broker that is killed at the end."""
    with BrokerProcess(folder) as broker:
        connection = connected(broker)
        channel = connection.channel()
        channel.confirm_delivery()
        yield channel
        broker.kill()
        with suppress(AMQPError):
            connection.close()


@contextmanager
def restarted(folder: Path) -> Iterator[BlockingChannel]:
    """A channel on a broker that starts from what the last one left."""
    with BrokerProcess(folder) as broker, connected(broker) as connection:
        yield connection.channel()


def drained(channel: BlockingChannel, queue: str) -> list[tuple[str, bool]]:
    found = []
    while True:
        method, _, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return found
        found.append((body.decode(), method.redelivered))


def test_confirmed_messages_survive_a_kill(tmp_path: Path) -> None:
    with until_killed(tmp_path) as channel:
        channel.exchange_declare("orders", "topic", durable=True)
        channel.queue_declare("payment", durable=True)
        channel.queue_bind("payment", "orders", "orders.#")
        for number in range(100):
            channel.basic_publish("orders", "orders.new", f"{number}", PERSISTENT, mandatory=True)
    with restarted(tmp_path) as channel:
        channel.exchange_declare("orders", "topic", passive=True)
        assert drained(channel, "payment") == [(str(number), False) for number in range(100)]
        channel.confirm_delivery()
        channel.basic_publish("orders", "orders.new", "still bound", PERSISTENT, mandatory=True)
        assert drained(channel, "payment") == [("still bound", False)]


def test_what_was_out_comes_back_as_redelivered(tmp_path: Path) -> None:
    with until_killed(tmp_path) as channel:
        channel.queue_declare("q", durable=True)
        for body in ("acked", "out", "out too", "never out"):
            channel.basic_publish("", "q", body, PERSISTENT)
        tags = [channel.basic_get("q")[0].delivery_tag for _ in range(3)]
        channel.basic_ack(tags[0])
        # Another confirmed publish is behind the ack in the same journal.
        channel.basic_publish("", "q", "last", PERSISTENT)
    with restarted(tmp_path) as channel:
        assert drained(channel, "q") == [
            ("out", True),
            ("out too", True),
            ("never out", False),
            ("last", False),
        ]


def test_delivery_counts_survive_a_kill(tmp_path: Path) -> None:
    with until_killed(tmp_path) as channel:
        channel.queue_declare("q", durable=True, arguments=QUORUM)
        channel.basic_publish("", "q", "m", PERSISTENT)
        for _ in range(3):
            channel.basic_nack(channel.basic_get("q")[0].delivery_tag)
        channel.basic_publish("", "q", "behind", PERSISTENT)
    with restarted(tmp_path) as channel:
        method, properties, body = channel.basic_get("q")
        assert (body, method.redelivered) == (b"m", True)
        assert properties.headers == {"x-delivery-count": 3}


def test_transient_things_do_not_survive(tmp_path: Path) -> None:
    with until_killed(tmp_path) as channel:
        channel.queue_declare("durable", durable=True)
        channel.queue_declare("transient")
        channel.basic_publish("", "durable", "transient message")
        channel.basic_publish("", "durable", "persistent message", PERSISTENT)
    with restarted(tmp_path) as channel:
        assert drained(channel, "durable") == [("persistent message", False)]
        assert channel.queue_declare("transient").method.message_count == 0


def test_lifetimes_go_on_while_the_broker_is_dead(tmp_path: Path) -> None:
    delay = {"x-message-ttl": 1, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "work"}
    with until_killed(tmp_path) as channel:
        channel.queue_declare("work", durable=True)
        channel.queue_declare("delay", durable=True, arguments=delay)
        channel.basic_publish("", "delay", "late", PERSISTENT)
    with restarted(tmp_path) as channel:
        for method, properties, body in channel.consume("work", inactivity_timeout=10):
            assert method is not None, "the delayed message was lost"
            assert body == b"late"
            assert properties.headers["x-first-death-queue"] == "delay"
            break
        channel.cancel()
