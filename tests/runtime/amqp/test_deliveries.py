"""Messages that are too large to be kept: the broker parks them, and nobody else notices."""

from runtime.amqp.deliveries import BODY_MAX
from runtime.amqp.link import Link
from runtime.amqp.topology import declare, service_queues
from runtime.host import Host
from runtime.telemetry import Telemetry
from tests.harness.peer import peer_at
from tests.harness.running import running
from tests.harness.waiting import eventually, until
from tests.runtime.amqp.test_consumer import Inflow, put

LARGE = bytes(BODY_MAX + 1)


async def test_a_message_that_is_too_large_is_parked_unread_and_its_neighbours_are_not(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    topology = service_queues("q", [], [1])
    link = Link(broker_url, "consume", host, telemetry, prepare=lambda s: declare(s, topology))
    flow = Inflow(link, prefetch=4)
    async with peer_at(broker_url) as peer, running(link.run, flow.consumer.run):
        session = await link.session()
        await put(peer, "m1")
        for number in range(3):
            await peer.put("q", LARGE, message_id=f"large {number}")
            await put(peer, f"n{number}")
        good = ["m1", "n0", "n1", "n2"]
        await until(lambda: flow.ids() == good)
        for delivery in flow.got:
            flow.consumer.ack(delivery)
        await put(peer, *(f"after {number}" for number in range(4)))
        await until(lambda: len(flow.got) == 8)
        assert flow.consumer.statistics().unsettled == 4
        assert not session.lost.is_set()
        for number in range(3):
            dead = await eventually(lambda: peer.get("q.dead"))
            assert dead.header.properties.message_id == f"large {number}"
            assert dead.body == LARGE
            headers = dead.header.properties.headers or {}
            assert headers["x-first-death-reason"] == "rejected"
