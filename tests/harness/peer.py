"""An AMQP client that is not ours: plain aiormq, to prepare a broker and to look at it."""

import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiormq
from aiormq.abc import AbstractChannel, ChannelFrame, DeliveredMessage
from pamqp import commands, frame

from runtime.amqp.transport import Transport

PART = 100_000


class Peer:
    """One connection and channel. Made by `peer_at`."""

    def __init__(self, channel: AbstractChannel) -> None:
        self.channel = channel

    async def queue(self, name: str, arguments: Mapping[str, str | int] | None = None) -> str:
        await self.channel.queue_declare(name, durable=True, arguments=dict(arguments or {}))
        return name

    async def put(self, queue: str, body: bytes = b"{}", **properties: object) -> None:
        """Publish one message to the queue, with exactly these properties, and wait for its ack."""
        await self.channel.basic_publish(
            body,
            routing_key=queue,
            mandatory=True,
            properties=commands.Basic.Properties(**properties),  # type: ignore[arg-type]
        )

    async def put_raw(self, queue: str, properties: bytes, body: bytes = b"{}") -> None:
        """Publish a message whose property flags and values are these bytes; unconfirmed."""
        number = self.channel.number
        content = struct.pack(">HHQ", 60, 0, len(body)) + properties
        payload = (
            frame.marshal(commands.Basic.Publish(routing_key=queue), number)
            + struct.pack(">BHI", 2, number, len(content))
            + content
            + b"\xce"
        )
        for start in range(0, len(body), PART):
            part = body[start : start + PART]
            payload += struct.pack(">BHI", 3, number, len(part)) + part + b"\xce"
        self.channel.delivery_tag += 1
        await self.channel.connection.write_queue.put(ChannelFrame(payload, should_close=False))

    async def get(self, queue: str) -> DeliveredMessage | None:
        """Take the first message of the queue for good; None if there is none."""
        message = await self.channel.basic_get(queue, no_ack=True)
        return None if isinstance(message.delivery, commands.Basic.GetEmpty) else message

    async def ready(self, queue: str) -> int:
        """How many messages the queue would deliver now."""
        declared = await self.channel.queue_declare(queue, passive=True)
        return declared.message_count or 0


@asynccontextmanager
async def peer_at(url: str) -> AsyncIterator[Peer]:
    connection = await aiormq.connect(url)
    try:
        yield Peer(await connection.channel())
    finally:
        await connection.close()


@asynccontextmanager
async def immune_peer_at(url: str) -> AsyncIterator[Peer]:
    """A peer that can take poison: plain aiormq would lose its connection. It confirms nothing."""
    connection = aiormq.Connection(url, transport_factory=Transport(None))
    await connection.connect()
    try:
        yield Peer(await connection.channel(publisher_confirms=False))
    finally:
        await connection.close()
