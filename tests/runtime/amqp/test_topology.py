import anyio
import pytest

from runtime.amqp.link import Link
from runtime.amqp.topology import (
    Binding,
    Exchange,
    QueueType,
    Topology,
    declare,
    joined,
    service_queues,
)
from runtime.errors import ConfigurationError
from runtime.host import Host
from runtime.telemetry import Telemetry
from tests.harness.peer import peer_at
from tests.harness.running import running
from tests.harness.waiting import eventually

ORDERS = Topology(exchanges=(Exchange("orders"),))


def _service(queue_type: QueueType, tiers_s: tuple[int, ...] = (1, 5)) -> Topology:
    queues = service_queues("payment", [("orders", "orders.*")], tiers_s, queue_type)
    return joined(ORDERS, queues)


def test_a_quorum_service_never_drops_a_message() -> None:
    dead, work, first, second = _service("quorum").queues
    assert [queue.name for queue in (dead, work, first, second)] == [
        "payment.dead",
        "payment",
        "payment.retry.1s",
        "payment.retry.5s",
    ]
    assert work.arguments == {
        "x-queue-type": "quorum",
        "x-overflow": "reject-publish",
        "x-delivery-limit": 100,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "payment.dead",
        "x-dead-letter-strategy": "at-least-once",
    }
    assert second.arguments["x-message-ttl"] == 5000
    assert second.arguments["x-dead-letter-routing-key"] == "payment"
    assert "x-dead-letter-exchange" not in dead.arguments


def test_a_classic_service_has_no_argument_that_only_quorum_queues_know() -> None:
    for queue in _service("classic").queues:
        assert not {"x-dead-letter-strategy", "x-delivery-limit", "x-overflow"} & {*queue.arguments}


@pytest.mark.parametrize("queue_type", ["quorum", "classic"])
async def test_declaring_twice_is_fine_and_a_retry_comes_back(
    broker_url: str, host: Host, telemetry: Telemetry, queue_type: QueueType
) -> None:
    link = Link(broker_url, "consume", host, telemetry)
    async with running(link.run), peer_at(broker_url) as peer:
        session = await link.session()
        await declare(session, _service(queue_type))
        await declare(session, _service(queue_type))
        await peer.put("payment.retry.1s", b"again", message_id="m")
        assert await peer.ready("payment") == 0
        message = await eventually(lambda: peer.get("payment"))
        assert message.body == b"again"


async def test_an_exhausted_delivery_limit_ends_in_the_dead_queue(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = Link(broker_url, "consume", host, telemetry)
    async with running(link.run), peer_at(broker_url) as peer:
        await declare(await link.session(), _service("quorum"))
        await peer.put("payment", b"unlucky", message_id="m")
        with anyio.fail_after(30):
            while await peer.ready("payment.dead") == 0:
                message = await peer.channel.basic_get("payment")
                if message.delivery_tag:
                    await peer.channel.basic_reject(message.delivery_tag, requeue=True)
        dead = await peer.get("payment.dead")
        assert dead is not None
        assert dead.header.properties.headers is not None
        assert dead.header.properties.headers["x-first-death-reason"] == "delivery_limit"


async def test_another_queue_type_is_refused_with_both_values(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = Link(broker_url, "consume", host, telemetry)
    async with running(link.run):
        session = await link.session()
        await declare(session, _service("quorum"))
        with pytest.raises(
            ConfigurationError,
            match=r"inequivalent arg .* for queue .payment\.dead.",
        ):
            await declare(session, _service("classic"))
        await declare(session, _service("quorum"))


async def test_a_binding_to_nothing_is_an_outage_not_a_crash(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    link = Link(broker_url, "consume", host, telemetry)
    async with running(link.run):
        session = await link.session()
        nowhere = Topology(bindings=(Binding("missing", "orders", "#"),))
        with pytest.raises(Exception, match="bind missing to orders"):
            await declare(session, nowhere)
