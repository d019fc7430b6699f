"""Messages to measure with, and a queue that holds them: one for all contenders.

The queue is a quorum queue, as ordermill declares it for a service: messages survive a broker.
"""

from pathlib import Path

import anyio

from actors.domain.events import OrderCreated, encode_body, encode_message
from actors.domain.values import Money, PaymentMethod
from bench.shop_orders import LINES
from bench.supervised import Ground
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.session import Session
from runtime.amqp.topology import Exchange, Topology, declare, joined, service_queues
from runtime.message import Message
from runtime.publishing import Outgoing

EXCHANGE, QUEUE, ROUTING_KEY = "orders", "payment", "orders.order-created"
TIERS_S = (1, 5, 30, 60)
BATCH = 1000
_BODY = OrderCreated(
    1042, LINES, Money(4890, "EUR"), PaymentMethod("pay_1", "visa", "4242"), "cus_1", "adr_1"
)
_DATA = encode_body(_BODY)


def order_created(number: int) -> Message:
    """Return the message of the n-th order: about 600 bytes, an id and a correlation of its own."""
    order_id = f"ord_{number:026}"
    return Message(
        message_id=f"evt_{number:026}",
        type="order-created/v1",
        body=encode_message(order_id, 1, _DATA),
        correlation_id=f"req_{number:026}",
        app_id="order-event-service",
        timestamp=1_790_000_000,
        headers={"x-order-correlation": f"req_{number:026}"},
    )


async def declare_queue(session: Session) -> None:
    """Declare the exchange, the queue, and what belongs to it."""
    queues = service_queues(QUEUE, [(EXCHANGE, ROUTING_KEY)], TIERS_S)
    await declare(session, joined(Topology(exchanges=(Exchange(EXCHANGE),)), queues))


def link(ground: Ground, url: str, role: str) -> Link:
    """Return a link that declares the queue."""
    return Link(url, role, ground.host, ground.telemetry, prepare=declare_queue)


async def fill(folder: Path, url: str, count: int) -> None:
    """Put the first ``count`` messages into the queue, which is declared."""
    ground = Ground(folder)
    sending = link(ground, url, "publish")
    publisher = LinkPublisher(sending, ground.telemetry)

    async def publish() -> None:
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            batch = [Outgoing(EXCHANGE, ROUTING_KEY, order_created(number)) for number in numbers]
            outcomes = await publisher.publish_batch(batch)
            assert not any(outcomes), f"not published: {next(filter(None, outcomes))}"

    await ground.supervise((sending.child(),), publish)


def filled(folder: Path, url: str, count: int) -> None:
    """Do `fill` in an event loop of its own, before the one that is measured."""
    anyio.run(fill, folder, url, count)
