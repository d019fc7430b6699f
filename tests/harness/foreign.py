"""A plain AMQP client that knows nothing of this project: pika, one short connection a visit."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import anyio.to_thread
import msgspec
import pika
from pika.adapters.blocking_connection import BlockingChannel
from yarl import URL

from tests.harness.system import LiveSystem
from tests.harness.waiting import eventually

T = TypeVar("T")


class Found(msgspec.Struct, frozen=True):
    """A message as pika sees it."""

    exchange: str
    routing_key: str
    properties: pika.BasicProperties
    body: bytes

    @property
    def headers(self) -> dict[str, object]:
        """The headers, an empty table where there are none."""
        return self.properties.headers or {}


class Foreigner:
    """Publishes, looks and takes, with confirms and mandatory."""

    def __init__(self, url: str) -> None:
        self._parameters = pika.URLParameters(url)

    async def send(
        self, exchange: str, routing_key: str, body: bytes, properties: pika.BasicProperties
    ) -> None:
        """Publish; return once the broker has put it into a queue."""

        def publish(channel: BlockingChannel) -> None:
            channel.confirm_delivery()
            channel.basic_publish(exchange, routing_key, body, properties, mandatory=True)

        await self._visit(publish)

    async def peek(self, queue: str) -> list[Found]:
        """Return what is ready in the queue, and put it all back."""
        return await self._visit(lambda channel: _get(channel, queue, 1000, keep=True))

    async def take(self, queue: str) -> Found:
        """Return the first message once there is one, and remove it."""

        async def one() -> list[Found]:
            return await self._visit(lambda channel: _get(channel, queue, 1, keep=False))

        (found,) = await eventually(one)
        return found

    async def ready(self, queues: Sequence[str]) -> dict[str, int]:
        """Return how many messages wait in each of the queues."""

        def look(channel: BlockingChannel) -> dict[str, int]:
            return {
                queue: channel.queue_declare(queue, passive=True).method.message_count
                for queue in queues
            }

        return await self._visit(look)

    async def _visit(self, work: Callable[[BlockingChannel], T]) -> T:
        def visit() -> T:
            connection = pika.BlockingConnection(self._parameters)
            try:
                return work(connection.channel())
            finally:
                connection.close()

        return await anyio.to_thread.run_sync(visit)


def foreigner(system: LiveSystem, broker_url: str) -> Foreigner:
    """Return a client of the system's broker."""
    if broker_url != "embedded":
        return Foreigner(broker_url)
    password = (system.running.data_dir / "secrets" / "broker-password").read_text()
    return Foreigner(str(URL(system.running.broker).with_password(password)))


def _get(channel: BlockingChannel, queue: str, count_max: int, *, keep: bool) -> list[Found]:
    taken: list[Found] = []
    while len(taken) < count_max:
        method, properties, body = channel.basic_get(queue, auto_ack=not keep)
        if method is None:
            break
        taken.append(Found(method.exchange, method.routing_key, properties, body))
    return taken
