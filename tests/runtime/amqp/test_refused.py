"""A broker that is there and will not have us, or takes nothing: what a link makes of it."""

from itertools import pairwise

import anyio
import pytest
from aiormq.exceptions import ChannelNotFoundEntity
from pamqp import commands

from runtime.amqp.consumer import Consumer
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.session import Session
from runtime.amqp.topology import Queue, Topology, declare
from runtime.errors import DeadlineExceeded
from runtime.host import Host
from runtime.telemetry import Telemetry
from tests.harness.false_broker import FalseBroker, false_broker, marshal
from tests.harness.peer import Peer, peer_at
from tests.harness.proxy import proxy_to
from tests.harness.running import running
from tests.harness.waiting import eventually, until
from tests.runtime.amqp.test_publisher import message

WRONG_PASSWORD = marshal(commands.Connection.Close(403, "ACCESS_REFUSED", 0, 0), 0)
NO_VHOST = marshal(commands.Connection.Close(530, "NOT_ALLOWED - vhost not found", 0, 0), 0)
BLOCKED = marshal(commands.Connection.Blocked("low on memory"), 0)
UNBLOCKED = marshal(commands.Connection.Unblocked(), 0)
ACK = marshal(commands.Basic.Ack(1, False))
REFUSALS = {
    "account": ("Connection.StartOk", WRONG_PASSWORD),
    "virtual host": ("Connection.Open", NO_VHOST),
}


def _link(url: str, host: Host, telemetry: Telemetry, **settings: object) -> Link:
    pauses = {"reconnect_s_min": 0.05, "reconnect_s_max": 0.05}
    return Link(url, "consume", host, telemetry, **pauses, **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("what", REFUSALS)
async def test_refused_in_mid_life_it_asks_seldom_and_is_back_when_it_may(
    host: Host, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    monkeypatch.setattr("runtime.amqp.link.REFUSED_S", 0.4)
    method, line = REFUSALS[what]
    async with false_broker(FalseBroker()) as broker:
        link = _link(broker.url, host, telemetry)
        async with running(link.run):
            await link.session()
            broker.lines[method] = line
            broker.cut()
            await until(lambda: link.state.state == "refused")
            assert link.state.word == what
            first = broker.connections
            await until(lambda: broker.connections >= first + 3)
            refused_at = broker.accepted_at[first - 1 :]
            gaps = [after - before for before, after in pairwise(refused_at)]
            assert min(gaps) >= 0.4
            del broker.lines[method]
            with anyio.fail_after(5):
                await link.session()
            assert link.state.state == "connected"


async def test_refused_once_it_was_waited_for_it_stops_nothing_either(
    host: Host, telemetry: Telemetry
) -> None:
    async with false_broker(FalseBroker({"greeting": b"HTTP/1.1 503\r\n\r\n"})) as broker:
        link = _link(broker.url, host, telemetry)
        async with running(link.run):
            await until(lambda: broker.connections >= 1)
            broker.lines = {"Connection.StartOk": WRONG_PASSWORD}
            await until(lambda: link.state.state == "refused")


async def test_a_queue_that_comes_back_with_other_arguments_is_not_consumed(
    broker_url: str, host: Host, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.amqp.link.REFUSED_S", 0.2)
    wanted = Topology(queues=(Queue("q", {"x-queue-type": "quorum", "x-delivery-limit": 100}),))

    async def prepare(session: Session) -> None:
        await declare(session, wanted)

    link = _link(broker_url, host, telemetry, prepare=prepare)
    got: list[object] = []
    consumer = Consumer(link, "q", prefetch=10, feed=got.append)
    async with peer_at(broker_url) as peer, proxy_to(broker_url) as proxy:
        link._address = link._address.parse(proxy.url(broker_url))
        async with running(link.run, consumer.run):
            await eventually(lambda: _consumers(peer))
            proxy.freeze()
            await peer.channel.queue_delete("q")
            await peer.queue("q")
            await peer.put("q", b"{}", message_id="m1")
            proxy.thaw()
            await until(lambda: link.state.state == "refused")
            assert link.state.word == "topology"
            assert "'q'" in link.state.reason
            assert got == []
            await peer.channel.queue_delete("q")
            with anyio.fail_after(20):
                await link.session()
            await until(lambda: consumer._epoch >= 2)


async def _consumers(peer: Peer) -> int:
    try:
        declared = await peer.channel.queue_declare("q", passive=True)
    except ChannelNotFoundEntity:
        peer.channel = await peer.channel.connection.channel()
        return 0
    return declared.consumer_count or 0


async def test_a_blocked_connection_is_a_stall_with_the_brokers_reason(
    host: Host, telemetry: Telemetry
) -> None:
    async with false_broker(FalseBroker({"Basic.Publish": BLOCKED})) as broker:
        link = _link(broker.url, host, telemetry)
        publisher = LinkPublisher(link, telemetry, deadline_s=0.2)
        async with running(link.run):
            with pytest.raises(DeadlineExceeded):
                await publisher.publish("", "q", message(1))
            assert (link.state.state, link.state.word) == ("stalled", "low on memory")
            # A new session proves nothing: it is blocked only once it publishes.
            await until(lambda: broker.connections >= 2)
            await link.session()
            assert link.state.state == "stalled"
            broker.lines["Basic.Publish"] = ACK
            await publisher.publish("", "q", message(1))
            assert link.state.state == "connected"


async def test_unblocked_it_is_in_order_again_at_once(host: Host, telemetry: Telemetry) -> None:
    broker = FalseBroker({"Basic.Publish": BLOCKED + UNBLOCKED + ACK})
    async with false_broker(broker):
        link = _link(broker.url, host, telemetry)
        publisher = LinkPublisher(link, telemetry, deadline_s=5.0)
        async with running(link.run):
            await publisher.publish("", "q", message(1))
            assert link.state.state == "connected"
            assert broker.connections == 1


async def test_a_stall_that_nothing_confirms_any_more_is_forgotten(
    host: Host, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.amqp.link.STALLED_S", 0.1)
    async with false_broker(FalseBroker({"Basic.Publish": b""})) as broker:
        link = _link(broker.url, host, telemetry)
        publisher = LinkPublisher(link, telemetry, deadline_s=0.05)
        async with running(link.run):
            with pytest.raises(DeadlineExceeded):
                await publisher.publish("", "q", message(1))
            assert (link.state.state, link.state.word) == ("stalled", "no confirm within 0.05 s")
            await until(lambda: link.state.state == "connected")
