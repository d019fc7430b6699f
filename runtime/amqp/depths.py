"""How much is in the queues of a service, as the broker says: passive declares, on any broker.

Ready messages are counted; those that were delivered and are not settled are known to the consumer
alone. A delay queue's messages wait for their time, a ``.dead`` queue's for an operator.
"""

from collections.abc import Sequence

import anyio
import msgspec

from runtime.amqp.awaiting import finish
from runtime.amqp.figures import QueueFigures
from runtime.amqp.link import Link
from runtime.amqp.session import CLOSE_S_MAX, plain
from runtime.amqp.topology import dead_queue, retry_queue
from runtime.errors import BrokerLost


class QueueDepth(msgspec.Struct, frozen=True):
    """One queue: messages that are ready, and who consumes it (by whatever link).

    The rest is what only some brokers tell: see `QueueFigures`; None where this one does not.
    """

    name: str
    ready: int
    consumers: int
    unacked: int | None = None
    in_per_s: float | None = None
    out_per_s: float | None = None
    acked_per_s: float | None = None
    oldest_age_s: float | None = None

    def told(self, figures: QueueFigures | None) -> "QueueDepth":
        """Return it with what the broker has told of it besides."""
        if figures is None:
            return self
        if self.ready == 0:  # counted later than the broker's figures: nothing is the oldest
            figures = msgspec.structs.replace(figures, oldest_age_s=None)
        return msgspec.structs.replace(self, **msgspec.structs.asdict(figures))


class Depths:
    """The queues of one service. ``looking``: its ``.dead`` queue seems empty meanwhile."""

    def __init__(self, link: Link, queue: str, tiers_s: Sequence[int], looking: anyio.Lock) -> None:
        self._link = link
        self._names = (queue, *(retry_queue(queue, tier) for tier in tiers_s), dead_queue(queue))
        self._looking = looking

    async def count(self) -> list[QueueDepth]:
        """Return each queue, the service's own first; `BrokerLost` or `DeadlineExceeded`."""
        if self._link.state.state != "connected":
            raise BrokerLost(f"not connected to the broker ({self._link.state.reason})")
        async with self._looking:
            session = await self._link.session()
            channel = await session.channel(plain)
            found: list[QueueDepth] = []
            for name in self._names:
                declare = channel.queue_declare(name, passive=True)
                declared = await session.call(declare, f"count {name}")
                ready, consumers = declared.message_count, declared.consumer_count
                found.append(QueueDepth(name, ready or 0, consumers or 0))
            await finish(channel.close(), CLOSE_S_MAX)
        return found
