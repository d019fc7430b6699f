"""FastStream 0.7 on RabbitMQ (faststream.ag2.ai, "RabbitMQ"), on uvloop as its own CLI runs it.

Run alone: ``python -m bench.rivals.faststream``.
"""

import asyncio
from typing import Any

import uvloop
from faststream.rabbit import Channel, RabbitBroker, RabbitQueue

from bench.case import Round
from bench.load import closed, drive
from bench.messages import EXCHANGE, QUEUE, ROUTING_KEY, filled, order_created
from bench.meter import Meter
from bench.rivals.alone import alone
from bench.sample import Sample

IN_FLIGHT = 100
PREFETCH = 100


def publish(task: Round) -> Sample:
    """Publish with confirms (its default), 100 in flight."""
    filled(task.folder, task.broker_url, 0)
    return uvloop.run(_publish(task))


async def _publish(task: Round) -> Sample:
    meter = Meter(broker_pid=task.broker_pid)
    broker = RabbitBroker(task.broker_url, app_id="order-event-service", logger=None)
    await broker.connect()

    async def send(number: int) -> None:
        message = order_created(number)
        await broker.publish(
            message.body,
            exchange=EXCHANGE,
            routing_key=ROUTING_KEY,
            mandatory=True,
            persist=True,
            content_type=message.content_type,
            message_id=message.message_id,
            message_type=message.type,
            correlation_id=message.correlation_id,
            headers=dict(message.headers),
        )

    with meter.running():
        latencies = await drive(task.load or closed(IN_FLIGHT), task.operations, send)
    await broker.stop()
    return meter.sample(task.operations, latencies)


def consume(task: Round) -> Sample:
    """Consume at prefetch 100; it acknowledges when the handler returns."""
    filled(task.folder, task.broker_url, task.operations)
    return uvloop.run(_consume(task))


async def _consume(task: Round) -> Sample:
    meter, everything = Meter(broker_pid=task.broker_pid), asyncio.Event()
    left = task.operations
    channel = Channel(prefetch_count=PREFETCH)
    broker = RabbitBroker(task.broker_url, default_channel=channel, logger=None)

    @broker.subscriber(RabbitQueue(QUEUE, declare=False))
    async def handle(body: dict[str, Any]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            everything.set()

    with meter.running():
        await broker.start()
        await everything.wait()
        await broker.stop()  # the last acknowledgements are on their way until it has stopped
    return meter.sample(task.operations)


if __name__ == "__main__":
    alone(("publish", "faststream"), ("consume", "faststream"))
