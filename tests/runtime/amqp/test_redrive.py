from datetime import UTC, datetime

import pytest
from aiormq.channel import Channel

from runtime.amqp import redrive as module
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.redrive import Redrive
from runtime.host import Host
from runtime.telemetry import Telemetry
from tests.harness.peer import Peer, peer_at
from tests.harness.running import running
from tests.harness.waiting import eventually, until

QUORUM = {"x-queue-type": "quorum"}


async def _bury(peer: Peer, message_id: str, **headers: object) -> None:
    await peer.put(
        "payment.dead",
        message_id=message_id,
        message_type="order-created/v1",
        correlation_id="req_1",
        app_id="tests",
        content_type="application/json",
        timestamp=datetime.fromtimestamp(1_700_000_000, UTC),
        headers=headers,
    )


async def _queues(peer: Peer) -> None:
    for queue in ("payment", "payment.dead"):
        await peer.queue(queue, QUORUM)


async def test_only_what_died_of_deliveries_goes_back_and_not_for_ever(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = Link(broker_url, "consume", host, telemetry)
    redrive = Redrive(link, LinkPublisher(link, telemetry), "payment", telemetry)
    limit = {"x-first-death-reason": "delivery_limit"}
    async with peer_at(broker_url) as peer:
        await _queues(peer)
        await _bury(peer, "parked", **{"x-reason": "malformed"})
        await _bury(peer, "innocent", **limit)
        await _bury(peer, "hopeless", **limit, **{"x-redriven": 3})
        await _bury(peer, "expired", **{"x-first-death-reason": "expired"})
        await peer.put("payment.dead", b"unreadable", headers={**limit})
        async with running(link.run, redrive.run):
            back = await eventually(lambda: peer.get("payment"))
            gauge = 'ordermill_dead_letters{queue="payment"} 4.0'
            await until(lambda: gauge in telemetry.render().decode())
        assert back.header.properties.message_id == "innocent"
        headers = back.header.properties.headers
        assert headers is not None
        assert headers["x-redriven"] == 1
        assert "x-first-death-reason" not in headers
        assert await eventually(lambda: _all_back(peer))
        assert await peer.ready("payment") == 0


async def _all_back(peer: Peer) -> bool:
    return await peer.ready("payment.dead") == 4


async def test_a_missing_dead_queue_is_no_reason_to_crash(
    broker_url: str, host: Host, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("runtime.amqp.redrive.EVERY_S", 0.05)
    link = Link(broker_url, "consume", host, telemetry)
    redrive = Redrive(link, LinkPublisher(link, telemetry), "payment", telemetry)
    looks = []

    async def ready(channel: Channel, queue: str) -> int:
        looks.append(queue)
        return await real(channel, queue)

    real = module.count
    monkeypatch.setattr(module, "count", ready)
    async with peer_at(broker_url) as peer, running(link.run, redrive.run):
        await until(lambda: len(looks) >= 2)
        await _queues(peer)
        await _bury(peer, "innocent", **{"x-first-death-reason": "delivery_limit"})
        await eventually(lambda: peer.get("payment"))
