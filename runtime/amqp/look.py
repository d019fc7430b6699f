"""One look through a ``.dead`` queue that takes nothing away, unless it is told to.

Its law: what is looked at is held without an ack, and goes back in place when the look ends. To
others the queue seems empty meanwhile, so whoever looks takes turns (`Redrive.looking`). A quorum
queue puts back what a channel held only a moment after the channel has closed, and its count lags
behind: the look ends when everything is there again, or after a second.
"""

import anyio
from aiormq import spec
from aiormq.abc import DeliveredMessage
from aiormq.channel import Channel

from runtime.amqp.session import Session, plain
from runtime.amqp.topology import dead_queue
from runtime.errors import Unavailable

PAUSE_S = 0.05
PAUSES_MAX = 20


class Look:
    """Through the ``.dead`` queue of ``queue``, on a channel of its own; ``held``: not taken."""

    def __init__(self, session: Session, channel: Channel, queue: str) -> None:
        self._session = session
        self._channel = channel
        self._queue = queue
        self.held = 0

    async def next(self) -> DeliveredMessage | None:
        """Return the next message, or None at the end of the queue."""
        get = self._channel.basic_get(dead_queue(self._queue))
        found = await self._session.call(get, "look at a dead letter")
        if isinstance(found.delivery, spec.Basic.GetEmpty):
            return None
        self.held += 1
        return found

    async def take(self, found: DeliveredMessage) -> None:
        """Take a message out of the queue, for good."""
        tag = found.delivery_tag or 0
        await self._session.call(self._channel.basic_ack(tag), "ack a dead letter")
        self.held -= 1

    async def put_back(self) -> None:
        """End the look; return once what was held is back."""
        await self._session.end(self._channel)
        if not self.held or self._session.lost.is_set():
            return
        try:
            channel = await self._session.channel(plain)
            for _ in range(PAUSES_MAX):
                if await self._session.call(count(channel, self._queue), "count") >= self.held:
                    break
                await anyio.sleep(PAUSE_S)
            await self._session.end(channel)
        except Unavailable:
            return  # the broker puts it back by itself


async def count(channel: Channel, queue: str) -> int:
    """Return how many messages wait in the ``.dead`` queue of ``queue``."""
    declared = await channel.queue_declare(dead_queue(queue), passive=True)
    return declared.message_count or 0
