"""Raw aiormq 7.2, the library that ordermill stands on, as its README uses it.

Run alone: ``python -m bench.rivals.aiormq``.
"""

import asyncio

import aiormq
from aiormq import spec
from aiormq.abc import AbstractChannel, AbstractConnection, DeliveredMessage

from bench.case import Round
from bench.load import closed, drive
from bench.messages import EXCHANGE, QUEUE, ROUTING_KEY, filled, order_created
from bench.meter import Meter
from bench.rivals.alone import alone
from bench.sample import Sample

IN_FLIGHT = 100
PREFETCH = 100


def publish(task: Round) -> Sample:
    """Publish with confirms, 100 in flight."""
    filled(task.folder, task.broker_url, 0)
    return asyncio.run(_publish(task))


async def _publish(task: Round) -> Sample:
    meter = Meter(broker_pid=task.broker_pid)
    connection, channel = await _connected(task.broker_url, confirms=True)

    async def send(number: int) -> None:
        message = order_created(number)
        properties = spec.Basic.Properties(
            content_type=message.content_type,
            delivery_mode=2,
            message_id=message.message_id,
            message_type=message.type,
            correlation_id=message.correlation_id,
            app_id=message.app_id,
            headers=dict(message.headers),
        )
        await channel.basic_publish(
            message.body,
            exchange=EXCHANGE,
            routing_key=ROUTING_KEY,
            properties=properties,
            mandatory=True,
        )

    with meter.running():
        latencies = await drive(task.load or closed(IN_FLIGHT), task.operations, send)
    await connection.close()
    return meter.sample(task.operations, latencies)


def consume(task: Round) -> Sample:
    """Consume at prefetch 100, one acknowledgement a message."""
    filled(task.folder, task.broker_url, task.operations)
    return asyncio.run(_consume(task))


async def _consume(task: Round) -> Sample:
    meter, everything = Meter(broker_pid=task.broker_pid), asyncio.Event()
    left = task.operations
    connection, channel = await _connected(task.broker_url, confirms=False)
    await channel.basic_qos(prefetch_count=PREFETCH)

    async def handle(message: DeliveredMessage) -> None:
        nonlocal left
        assert message.delivery_tag is not None
        await channel.basic_ack(message.delivery_tag)
        left -= 1
        if left == 0:
            everything.set()

    with meter.running():
        await channel.basic_consume(QUEUE, handle)
        await everything.wait()
    await connection.close()
    return meter.sample(task.operations)


async def _connected(url: str, *, confirms: bool) -> tuple[AbstractConnection, AbstractChannel]:
    connection = await aiormq.connect(url)
    return connection, await connection.channel(publisher_confirms=confirms)


if __name__ == "__main__":
    alone(("publish", "aiormq"), ("consume", "aiormq"))
