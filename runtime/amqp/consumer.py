"""Takes deliveries from one queue and hands them on; settles them when told to.

Its law: a delivery is put into ``feed`` and nothing else happens to it here; it is acked on the
channel that delivered it or not at all. What was not acked when the channel ended comes back.

A consumer heals itself: it follows the link from session to session, opens a new channel when the
broker ends the old one, and has the topology declared again first, because a deleted queue ends
consumers without ending anything else. If the queue has messages and none arrive for half a minute,
the session is given up.
"""

import hashlib
from collections import deque
from collections.abc import Callable

import anyio
import msgspec
from aiormq.channel import Channel

from runtime.amqp.awaiting import either
from runtime.amqp.deliveries import Delivered, DeliveryChannel
from runtime.amqp.link import Link
from runtime.amqp.session import Session, plain
from runtime.amqp.wire import (
    death,
    decode_properties,
    properties_to_message,
    read_message,
    salvage,
)
from runtime.child import ChildContext, ChildSpec
from runtime.errors import BrokerLost, MailboxClosed, MailboxFull, Unavailable, Unprocessable
from runtime.host import Ids
from runtime.message import Message

TICK_S = 15.0
CAREFUL_TICK_S = 0.2
AGAIN_S = 1.0


class Delivery(msgspec.Struct, frozen=True):
    """One message as it was delivered.

    ``problem`` says why it cannot be read; ``message`` then holds what could be salvaged.
    ``redelivered`` is for telemetry only: the inbox decides what is a duplicate. ``death`` is the
    broker's reason if it dead-lettered the message by itself, such as ``delivery_limit``.
    """

    message: Message
    queue: str
    exchange: str
    routing_key: str
    redelivered: bool
    epoch: int
    tag: int
    problem: Unprocessable | None = None
    death: str = ""


class ConsumerStatistics(msgspec.Struct, frozen=True):
    """``waiting`` of the ``unsettled`` deliveries found no room in the mailbox yet."""

    deliveries: int
    unsettled: int
    waiting: int


class Consumer:
    """Consumes ``queue`` through ``link`` with at most ``prefetch`` deliveries unsettled.

    ``feed`` must not wait; where it raises `MailboxFull` the delivery waits here (they are bounded
    by the prefetch) and is offered again when others are settled, and by `offer_waiting`.
    """

    def __init__(
        self, link: Link, queue: str, *, prefetch: int, feed: Callable[[Delivery], None]
    ) -> None:
        self.queue = queue
        self._link = link
        self._prefetch = prefetch
        self._feed = feed
        self._through: Session | None = None
        self._channel: DeliveryChannel | None = None
        self._epoch = 0
        self._waiting: deque[Delivery] = deque()
        self._unsettled = 0
        self._deliveries = 0

    def child(self) -> ChildSpec:
        """Return what the supervisor needs to keep this consumer alive."""
        return ChildSpec(name=f"consumer-{self.queue}", run=self.run)

    def stale(self, delivery: Delivery) -> bool:
        """Whether the channel that delivered it is gone: it will be delivered again."""
        channel = self._channel
        return delivery.epoch != self._epoch or channel is None or channel.ended.is_set()

    def ack(self, delivery: Delivery) -> None:
        """Tell the broker that this delivery is dealt with; nothing happens if it is stale."""
        if self.stale(delivery) or self._channel is None:
            return
        self._channel.ack(delivery.tag)
        self._unsettled -= 1
        self.offer_waiting()

    def offer_waiting(self) -> None:
        """Offer again what found no room before: there may be some now."""
        for _ in range(len(self._waiting)):
            delivery = self._waiting.popleft()
            try:
                self._feed(delivery)
            except MailboxFull:
                self._waiting.append(delivery)
            except MailboxClosed:
                self._waiting.clear()
                return

    def statistics(self) -> ConsumerStatistics:
        """Return this moment's figures."""
        return ConsumerStatistics(
            deliveries=self._deliveries, unsettled=self._unsettled, waiting=len(self._waiting)
        )

    async def run(self, context: ChildContext) -> None:
        """Consume until told to stop; deliveries can still be acked after that, until `release`."""
        await self.release()
        context.started()
        while not context.stopping.is_set():
            session = await self._session(context.stopping)
            if session is None:
                return
            try:
                await self._consume(session, context.stopping)
            except Unavailable as error:
                session.abandon(f"consumer of {self.queue}: {error}")

    async def release(self) -> None:
        """Close the channel: what is not acked by now goes back to the queue."""
        channel, self._channel = self._channel, None
        self._waiting.clear()
        if channel is not None and self._through is not None and not channel.ended.is_set():
            channel.flush()
            await self._through.end(channel)

    async def _session(self, stopping: anyio.Event) -> Session | None:
        found: list[Session] = []
        ready = anyio.Event()

        async def wait() -> None:
            found.append(await self._link.session())
            ready.set()

        async with anyio.create_task_group() as group:
            group.start_soon(wait)
            await either(ready, stopping)
            group.cancel_scope.cancel()
        return found[0] if found and not stopping.is_set() else None

    async def _consume(self, session: Session, stopping: anyio.Event) -> None:
        channel = await session.channel(DeliveryChannel)
        self._epoch += 1
        self._through, self._channel, self._unsettled = session, channel, 0
        self._waiting.clear()
        careful = self._link.quarantine.active
        forsaken = False
        try:
            await self._start(session, channel, careful)
            while not await self._over(session, channel, careful, stopping):
                if careful and not self._link.quarantine.active:
                    careful = False
                    await session.call(channel.stop(), "stop the careful consumer")
                    await self._start(session, channel, careful)
            forsaken = channel.forsaken
        finally:
            if not stopping.is_set():
                await self.release()
        if stopping.is_set() and not channel.ended.is_set():
            await session.call(channel.stop(), f"cancel the consumer of {self.queue}")
        elif not session.lost.is_set():
            self._link.telemetry.event(
                "consumer.ended", "warning", queue=self.queue, error=channel.reason
            )
            if forsaken:
                raise BrokerLost(f"{channel.reason}, and the broker was not told")
            await self._link.declare_again(session)
            with anyio.move_on_after(AGAIN_S):
                await stopping.wait()

    async def _start(self, session: Session, channel: DeliveryChannel, careful: bool) -> None:
        epoch, tag = self._epoch, f"{self.queue}-{self._epoch}{'-careful' if careful else ''}"

        def receive(delivered: Delivered) -> None:
            self._receive(self._read(delivered, epoch))

        prefetch = 1 if careful else self._prefetch
        start = channel.consume(self.queue, tag, prefetch, receive, self._oversized)
        await session.call(start, f"consume {self.queue}")

    async def _over(
        self, session: Session, channel: DeliveryChannel, careful: bool, stopping: anyio.Event
    ) -> bool:
        """Wait for the end of this channel, or one tick; True at the end."""
        before = self._deliveries
        with anyio.move_on_after(CAREFUL_TICK_S if careful else TICK_S):
            await either(channel.over, stopping)
            return True
        if not careful and before == self._deliveries and self._unsettled < self._prefetch:
            await self._check_flow(session)
        return False

    async def _check_flow(self, session: Session) -> None:
        before = self._deliveries
        for _ in range(2):
            if await self._ready(session) == 0 or before != self._deliveries:
                return
            with anyio.move_on_after(TICK_S):
                await session.lost.wait()
        if before == self._deliveries:
            session.abandon(f"{self.queue} has messages, but none arrive")

    async def _ready(self, session: Session) -> int:
        channel = await session.channel(plain)
        count = await session.call(_count(channel, self.queue), f"look at {self.queue}")
        await session.call(channel.close(), "close the channel")
        return count

    def _read(self, delivered: Delivered, epoch: int) -> Delivery:
        problem, why = None, ""
        message = read_message(delivered.properties, delivered.body)
        if message is None:
            properties, body = decode_properties(delivered.properties), delivered.body
            why = death(properties)
            try:
                message = properties_to_message(properties, body)
            except Unprocessable as error:
                problem = error
                digest = hashlib.sha256(body).hexdigest()
                message_id = Ids.derived("bad", self.queue, digest)
                message = salvage(properties, body, message_id=message_id)
        return Delivery(
            message,
            self.queue,
            delivered.exchange,
            delivered.routing_key,
            delivered.redelivered,
            epoch,
            delivered.tag,
            problem,
            why,
        )

    def _receive(self, delivery: Delivery) -> None:
        self._deliveries += 1
        self._unsettled += 1
        self._link.quarantine.good()
        self._waiting.append(delivery)
        self.offer_waiting()

    def _oversized(self, properties: bytes, size: int) -> None:
        self._deliveries += 1
        self._link.telemetry.event(
            "message.oversized",
            "warning",
            queue=self.queue,
            message_id=decode_properties(properties).message_id,
            size=size,
        )


async def _count(channel: Channel, queue: str) -> int:
    declared = await channel.queue_declare(queue, passive=True)
    return declared.message_count or 0
