from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import anyio
import pytest
from aiormq.exceptions import DeliveryError

from runtime.amqp.consumer import Consumer, Delivery
from runtime.amqp.link import Link
from runtime.amqp.session import Session
from runtime.amqp.topology import Queue, Topology, declare
from runtime.child import ChildContext
from runtime.errors import MailboxClosed, MailboxFull
from runtime.host import Host
from runtime.telemetry import Telemetry
from tests.harness.peer import Peer, peer_at
from tests.harness.proxy import proxy_to
from tests.harness.running import running
from tests.harness.waiting import eventually, until
from tests.runtime.amqp.test_transport import deliverable

QUORUM = {"x-queue-type": "quorum", "x-delivery-limit": 100}
WHOLE = {
    "message_type": "order-created/v1",
    "correlation_id": "req_1",
    "app_id": "tests",
    "content_type": "application/json",
    "delivery_mode": 2,
}


class Inflow:
    """A consumer that runs, and what it was given."""

    def __init__(self, link: Link, prefetch: int) -> None:
        self.link = link
        self.got: list[Delivery] = []
        self.refusal: Exception | None = None
        self.consumer = Consumer(link, "q", prefetch=prefetch, feed=self.feed)

    def feed(self, delivery: Delivery) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.got.append(delivery)

    def ids(self) -> list[str]:
        return [delivery.message.message_id for delivery in self.got]


@asynccontextmanager
async def inflow(
    url: str, host: Host, telemetry: Telemetry, prefetch: int = 10
) -> AsyncIterator[Inflow]:
    async def prepare(session: Session) -> None:
        await declare(session, Topology(queues=(Queue("q", QUORUM),)))

    link = Link(url, "consume", host, telemetry, prepare=prepare, reconnect_s_max=0.2)
    flow = Inflow(link, prefetch)
    async with running(link.run, flow.consumer.run):
        with anyio.fail_after(20):
            await link.session()
        yield flow


async def put(peer: Peer, *ids: str) -> None:
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    for message_id in ids:
        await peer.put("q", b"{}", message_id=message_id, timestamp=at, **WHOLE)


async def drained(peer: Peer) -> list[str]:
    """What is left in the queue once nobody consumes from it."""
    left: list[str] = []
    while (message := await peer.get("q")) is not None:
        left.append(message.header.properties.message_id or "")
    return left


async def test_deliveries_arrive_in_order_and_acked_ones_never_return(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with peer_at(broker_url) as peer:
        async with inflow(broker_url, host, telemetry) as flow:
            await put(peer, *(f"m{number}" for number in range(30)))
            await until(lambda: len(flow.got) == 10)
            for delivery in flow.got[:10:2]:
                flow.consumer.ack(delivery)
            await until(lambda: len(flow.got) == 15)
            assert flow.ids() == [f"m{number}" for number in range(15)]
            assert {d.message.timestamp for d in flow.got} == {1_700_000_000}
            # Closes the gaps: now 1 to 9 are finished, and 9 itself was acked before.
            for delivery in flow.got[1:8:2]:
                flow.consumer.ack(delivery)
            await until(lambda: len(flow.got) == 19)
            for delivery in flow.got[9:15]:
                flow.consumer.ack(delivery)
            await until(lambda: len(flow.got) == 25)
            assert flow.ids() == [f"m{number}" for number in range(25)]
        assert await drained(peer) == [f"m{number}" for number in range(15, 30)]


async def test_a_delivery_of_a_lost_connection_cannot_be_acked_and_comes_back(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with peer_at(broker_url) as peer, proxy_to(broker_url) as proxy:
        async with inflow(proxy.url(broker_url), host, telemetry) as flow:
            await put(peer, "m1")
            await until(lambda: len(flow.got) == 1)
            old = flow.got[0]
            proxy.cut()
            await until(lambda: len(flow.got) == 2)
            assert flow.consumer.stale(old)
            flow.consumer.ack(old)  # the same tag on the new channel would ack the new delivery
            await put(peer, "m2")
            await until(lambda: len(flow.got) == 3)
            assert flow.got[1].redelivered
            assert not flow.consumer.stale(flow.got[1])
        assert await drained(peer) == ["m1", "m2"]


async def test_a_deleted_queue_is_declared_again_and_consumed_again(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with peer_at(broker_url) as peer, inflow(broker_url, host, telemetry) as flow:
        await put(peer, "m1")
        await until(lambda: len(flow.got) == 1)
        await peer.channel.queue_delete("q")

        async def put_again() -> bool:
            try:
                await put(peer, "m2")
            except DeliveryError:  # returned: no queue yet; or refused by the queue that goes
                return False
            return True

        await eventually(put_again)
        await until(lambda: flow.ids()[-1:] == ["m2"])


async def test_what_finds_no_room_waits_here_and_is_offered_again(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with peer_at(broker_url) as peer:
        async with inflow(broker_url, host, telemetry) as flow:
            await put(peer, "m1")
            await until(lambda: len(flow.got) == 1)
            flow.refusal = MailboxFull("full")
            await put(peer, "m2", "m3")
            await until(lambda: flow.consumer.statistics().waiting == 2)
            flow.refusal = None
            flow.consumer.ack(flow.got[0])
            assert flow.ids() == ["m1", "m2", "m3"]
            flow.refusal = MailboxClosed("closed")
            await put(peer, "m4")
        assert await drained(peer) == ["m2", "m3", "m4"]


async def test_messages_that_cannot_be_read_arrive_as_problems_and_cost_nobody_a_delivery(
    broker_url: str, host: Host, telemetry: Telemetry, request: pytest.FixtureRequest
) -> None:
    poison = deliverable(request)
    async with peer_at(broker_url) as peer, inflow(broker_url, host, telemetry) as flow:
        session = await flow.link.session()
        for number, properties in enumerate(poison):
            await peer.put_raw("q", properties, f"poison {number}".encode())
        await peer.put("q", b"no properties")
        await put(peer, "good")
        await until(lambda: len(flow.got) == len(poison) + 2)
        problems = [d.problem.reason for d in flow.got if d.problem]
        assert problems == ["malformed"] * (len(poison) + 1)
        assert flow.got[0].message.body == b"poison 0"
        assert len({*flow.ids()}) == len(poison) + 2
        assert flow.ids()[-1] == "good"
        assert not session.lost.is_set()


async def test_in_quarantine_one_message_is_taken_at_a_time(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with (
        peer_at(broker_url) as peer,
        proxy_to(broker_url) as proxy,
        inflow(proxy.url(broker_url), host, telemetry) as flow,
    ):
        session = await flow.link.session()
        flow.link.quarantine.begin()
        proxy.cut()
        await session.lost.wait()
        await put(peer, *(f"m{number}" for number in range(100)))
        await until(lambda: len(flow.got) == 1)
        for number in range(80):
            await until(lambda number=number: len(flow.got) > number)
            assert len(flow.got) <= number + (1 if number < 50 else 11)
            flow.consumer.ack(flow.got[number])
        # Ten for the ordinary consumer, and perhaps one that the careful one had still in hand.
        await until(lambda: len(flow.got) in (90, 91))


async def test_a_stopped_consumer_takes_nothing_new_and_can_still_ack(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async def prepare(session: Session) -> None:
        await declare(session, Topology(queues=(Queue("q", QUORUM),)))

    link = Link(broker_url, "consume", host, telemetry, prepare=prepare)
    flow = Inflow(link, prefetch=2)
    async with peer_at(broker_url) as peer:
        async with running(link.run):
            async with running(flow.consumer.run):
                await link.session()
                await put(peer, "m1", "m2", "m3")
                await until(lambda: len(flow.got) == 2)
            flow.consumer.ack(flow.got[0])
            await flow.consumer.release()
            assert flow.consumer.stale(flow.got[1])
        assert flow.ids() == ["m1", "m2"]
        assert await drained(peer) == ["m2", "m3"]


async def test_a_consumer_that_starts_again_gives_back_what_it_held(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with peer_at(broker_url) as peer, inflow(broker_url, host, telemetry) as flow:
        await put(peer, "m1")
        await until(lambda: len(flow.got) == 1)
        context = ChildContext("again")
        async with anyio.create_task_group() as group:
            group.start_soon(flow.consumer.run, context)
            await until(lambda: len(flow.got) == 2)
            context.stopping.set()


async def test_messages_that_are_ready_but_never_arrive_cost_the_session(
    broker_url: str, host: Host, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.amqp.consumer.TICK_S", 0.1)
    async with peer_at(broker_url) as peer, inflow(broker_url, host, telemetry) as flow:
        await put(peer, "m1")
        await until(lambda: len(flow.got) == 1)
        session = await flow.link.session()
        # The broker forgets the consumer without a word, as in a silent stop of a leader.
        channel = flow.consumer._channel
        assert channel is not None
        await channel.stop()
        await put(peer, "m2")
        with anyio.fail_after(20):
            await session.lost.wait()
        await until(lambda: "m2" in flow.ids())


async def test_a_consumer_that_is_cancelled_leaves_no_channel_that_takes_messages(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async def prepare(session: Session) -> None:
        await declare(session, Topology(queues=(Queue("q", QUORUM),)))

    link = Link(broker_url, "consume", host, telemetry, prepare=prepare)
    flow = Inflow(link, prefetch=2)
    async with peer_at(broker_url) as peer, running(link.run):
        async with anyio.create_task_group() as group:
            group.start_soon(flow.consumer.run, ChildContext("cancelled"))
            await link.session()
            await put(peer, "m1", "m2", "m3")
            await until(lambda: len(flow.got) == 2)
            group.cancel_scope.cancel()
        left: list[str] = []

        async def all_came_back() -> bool:
            left.extend(await drained(peer))
            return len(left) == 3

        await eventually(all_came_back, within_s=5.0)
        assert sorted(left) == ["m1", "m2", "m3"]


async def test_a_channel_that_ends_here_alone_costs_the_session(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    """The broker goes on delivering to it: only the end of the connection gives that back."""
    async with peer_at(broker_url) as peer, inflow(broker_url, host, telemetry) as flow:
        first = await flow.link.session()
        await put(peer, "m1")
        await until(lambda: len(flow.got) == 1)
        channel = flow.consumer._channel
        channel._Channel__reader_task.cancel()  # type: ignore[union-attr]
        await until(lambda: len(flow.got) == 2)
        assert flow.ids() == ["m1", "m1"]
        assert first.lost.is_set()
