"""A bystander at the broker: what was published, and what is left in the queues."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pika
from pika.adapters.blocking_connection import BlockingChannel

from sim.judges.evidence import SERVICES, Published

EXCHANGES = ("orders", "payment", "shipping")
AUDIT = "auditor"


@contextmanager
def visiting(url: str) -> Iterator[BlockingChannel]:
    """Open a channel; what was taken and not acknowledged goes back when it closes."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    try:
        yield connection.channel()
    finally:
        if connection.is_open:
            connection.close()


def declare_auditor(url: str) -> None:
    """Bind a queue of our own to every exchange: it keeps a copy of all that is published."""
    with visiting(url) as channel:
        channel.queue_declare(AUDIT, durable=True, arguments={"x-queue-type": "quorum"})
        for exchange in EXCHANGES:
            channel.queue_bind(AUDIT, exchange, "#")


def service_queues(tiers_s: tuple[int, ...]) -> list[str]:
    """Return every queue that the order system uses."""
    kinds = ("", ".dead", *(f".retry.{tier}s" for tier in tiers_s))
    return [f"{service}{kind}" for service in SERVICES for kind in kinds]


def left_in(url: str, queues: list[str]) -> dict[str, int]:
    """Return how many messages can be taken from each queue; they are put back."""
    with visiting(url) as channel:
        left = dict.fromkeys(queues, 0)
        for queue in queues:
            while channel.basic_get(queue)[0] is not None:
                left[queue] += 1
        return left


def audited(url: str) -> list[Published]:
    """Take every copy that the auditor's queue has kept."""
    with visiting(url) as channel:
        found: list[Published] = []
        while True:
            method, properties, body = channel.basic_get(AUDIT)
            if method is None:
                return found
            message = json.loads(body)
            found.append(
                Published(
                    id=str(properties.message_id),
                    type=str(properties.type),
                    app_id=str(properties.app_id),
                    exchange=method.exchange,
                    routing_key=method.routing_key,
                    order_id=message["order_id"],
                    version=message["version"],
                    data=message["data"],
                    raw=f"{properties.timestamp} {properties.correlation_id} ".encode() + body,
                )
            )
