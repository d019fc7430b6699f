"""What is on the wire, as a foreign AMQP client and RabbitMQ's own tools see it."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio.to_thread
import pika
import pytest
from pika.adapters.blocking_connection import BlockingChannel

from tests.harness.rabbitmq import RabbitMQ
from tests.harness.system import LiveSystem, live_system
from tests.harness.waiting import eventually

EXCHANGES = ("orders", "payment", "shipping")
PUBLISHED = {
    "order-created": ("orders", "orders.order-created", "order-event-service"),
    "order-cancelled": ("orders", "orders.order-cancelled", "order-event-service"),
    "payment-captured": ("payment", "payment.payment-captured", "payment-service"),
    "payment-auth-failed": ("payment", "payment.payment-auth-failed", "payment-service"),
    "shipped": ("shipping", "shipping.shipped", "shipping-service"),
}
BINDINGS = {
    ("orders", "payment", "orders.order-created"),
    ("orders", "payment", "orders.order-cancelled"),
    ("payment", "shipping", "payment.payment-captured"),
    ("orders", "notification", "orders.order-created"),
    ("orders", "notification", "orders.order-cancelled"),
    ("payment", "notification", "payment.payment-auth-failed"),
    ("shipping", "notification", "shipping.shipped"),
}

Taken = tuple[str, str, pika.BasicProperties, bytes]


@pytest.fixture
def vhost(rabbitmq: RabbitMQ) -> str:
    return rabbitmq.vhost()


@pytest.fixture
def url(rabbitmq: RabbitMQ, vhost: str) -> str:
    account = f"{rabbitmq.user}:{rabbitmq.password}"
    return f"amqp://{account}@{rabbitmq.host}:{rabbitmq.port}/{vhost}"


@contextmanager
def listening(url: str) -> Iterator[tuple[BlockingChannel, str]]:
    """A queue of a foreign client's own, bound to everything that is published."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        channel = connection.channel()
        queue = channel.queue_declare("", exclusive=True).method.queue
        for exchange in EXCHANGES:
            channel.queue_bind(queue, exchange, "#")
        yield channel, queue
    finally:
        connection.close()


def take(channel: BlockingChannel, queue: str, into: dict[str, Taken]) -> None:
    while True:
        method, properties, body = channel.basic_get(queue, auto_ack=True)
        if method is None:
            return
        taken = (method.exchange, method.routing_key, properties, body)
        assert into.setdefault(properties.message_id, taken) is taken, "published twice"


async def play(system: LiveSystem, url: str) -> tuple[dict[str, Taken], list[str]]:
    """Run a shipped, a declined and a cancelled order; return what was published."""
    taken: dict[str, Taken] = {}
    with listening(url) as (channel, queue):
        shipped, declined = await system.place(), await system.place("pm_card_declined")
        await shipped.wait_for("shipping-prepared")
        assert (await shipped.ship()).status_code == 200
        await declined.wait_for("payment-auth-failed")
        assert (await declined.cancel()).status_code == 200
        await system.quiet()

        async def six() -> bool:
            await anyio.to_thread.run_sync(take, channel, queue, taken)
            return len(taken) >= 6

        await eventually(six)
    return taken, [shipped.id, declined.id]


async def test_every_published_event_carries_the_seven_properties(tmp_path: Path, url: str) -> None:
    async with live_system(tmp_path, url) as system:
        taken, orders = await play(system, url)
        stored = {event.id: event for order in orders for event in await system.events(order)}
    published = [event for event in stored.values() if event.type.name in PUBLISHED]
    assert sorted(taken) == sorted(event.id for event in published)
    for event in published:
        exchange, routing_key, properties, body = taken[event.id]
        name = event.type.name
        assert (exchange, routing_key, properties.app_id) == PUBLISHED[name]
        assert properties.delivery_mode == 2
        assert properties.content_type == "application/json"
        assert properties.message_id == event.id
        assert properties.correlation_id == event.correlation_id
        assert properties.type == f"{name}/v1"
        assert properties.timestamp == event.recorded_at_ms // 1000
        decoded = json.loads(body)
        assert (decoded["order_id"], decoded["version"]) == (event.order_id, event.version)
        assert set(decoded) == {"order_id", "version", "data"}


async def test_a_message_names_the_message_that_led_to_it(tmp_path: Path, url: str) -> None:
    async with live_system(tmp_path, url) as system:
        taken, _ = await play(system, url)
    by_type: dict[str, list[pika.BasicProperties]] = {}
    for _, _, properties, _ in taken.values():
        by_type.setdefault(properties.type, []).append(properties)
    created = {properties.message_id for properties in by_type["order-created/v1"]}
    (captured,) = by_type["payment-captured/v1"]
    (failed,) = by_type["payment-auth-failed/v1"]
    assert {captured.correlation_id, failed.correlation_id} == created


async def test_rabbitmq_holds_exactly_the_topology_that_is_specified(
    tmp_path: Path, url: str, rabbitmq: RabbitMQ, vhost: str
) -> None:
    async with live_system(tmp_path, url):

        def listed(*command: str) -> list[list[str]]:
            text = rabbitmq.control("-q", "--no-table-headers", *command)
            return [line.split("\t") for line in text.splitlines() if line]

        exchanges = listed("list_exchanges", "-p", vhost, "name", "type", "durable")
        queues = listed("list_queues", "-p", vhost, "name", "durable", "type")
        bindings = listed(
            "list_bindings", "-p", vhost, "source_name", "destination_name", "routing_key"
        )
    ours = [row for row in exchanges if row[0] and not row[0].startswith("amq.")]
    assert sorted(ours) == [[name, "topic", "true"] for name in EXCHANGES]
    names = [row[0] for row in queues]
    assert sorted(name for name in names if "." not in name) == [
        "notification",
        "payment",
        "shipping",
    ]
    assert all(row[1] == "true" and row[2] == "quorum" for row in queues)
    assert {name.partition(".")[0] for name in names} == {"notification", "payment", "shipping"}
    assert {tuple(row) for row in bindings if row[0]} == BINDINGS
