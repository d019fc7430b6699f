from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import aiormq
import anyio
import anyio.lowlevel
import msgspec
import pytest
from aiormq.exceptions import DeliveryError, PublishError
from pamqp import commands

from runtime.amqp.confirms import ConfirmChannel
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.errors import BrokerLost, DeadlineExceeded, PublishRefused, Unprocessable
from runtime.host import Host
from runtime.message import Message
from runtime.publishing import Outgoing
from runtime.telemetry import Telemetry
from tests.harness.peer import peer_at
from tests.harness.proxy import proxy_to
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.running import running
from tests.harness.waiting import eventually

QUORUM = {"x-queue-type": "quorum"}


def message(number: int, body: bytes = b"{}", **changes: object) -> Message:
    made = Message(
        message_id=f"evt_{number}",
        type="order-created/v1",
        body=body,
        correlation_id="req_1",
        app_id="tests",
        timestamp=1_700_000_000,
        headers={"x-order-correlation": "cor_1"},
    )
    return msgspec.structs.replace(made, **changes)


def to(queue: str, numbers: Sequence[int], body: bytes = b"{}") -> list[Outgoing]:
    return [Outgoing("", queue, message(number, body)) for number in numbers]


@asynccontextmanager
async def publishing(
    url: str, host: Host, telemetry: Telemetry, deadline_s: float = 10.0
) -> AsyncIterator[tuple[LinkPublisher, Link]]:
    link = Link(url, "publish", host, telemetry, reconnect_s_max=0.2)
    async with running(link.run):
        yield LinkPublisher(link, telemetry, deadline_s=deadline_s), link


async def test_a_confirmed_message_is_in_the_queue_with_all_its_properties(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        await publisher.publish("", "q", message(1, b"\x00body"))
        got = await p.get("q")
        assert got is not None
        properties = got.header.properties
        assert got.body == b"\x00body"
        assert properties.delivery_mode == 2
        assert (properties.message_id, properties.message_type) == ("evt_1", "order-created/v1")
        assert properties.timestamp is not None
        assert properties.timestamp.timestamp() == 1_700_000_000
        assert properties.headers is not None
        assert properties.headers["x-order-correlation"] == "cor_1"


async def test_a_batch_larger_than_the_window_keeps_its_order(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        outcomes = await publisher.publish_batch(to("q", range(700)))
        assert outcomes == [None] * 700
        got = [await p.get("q") for _ in range(700)]
        ids = [m.header.properties.message_id for m in got if m is not None]
        assert ids == [f"evt_{number}" for number in range(700)]


async def test_a_large_body_is_split_and_joined_again(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    body = bytes(range(256)) * 2000
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        await publisher.publish("", "q", message(1, body))
        got = await p.get("q")
        assert got is not None
        assert got.body == body


async def test_what_no_queue_takes_is_refused_and_its_neighbours_are_not(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        batch = to("q", [1, 2]) + to("nowhere", [3]) + to("q", [4])
        outcomes = await publisher.publish_batch(batch)
        assert [type(outcome) for outcome in outcomes] == [
            type(None),
            type(None),
            PublishRefused,
            type(None),
        ]
        assert "routing key 'nowhere'" in str(outcomes[2])
        with pytest.raises(PublishRefused):
            await publisher.publish("", "nowhere", message(5))


async def test_two_of_one_id_are_never_in_flight_together(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        batch = to("nowhere", [1]) + to("q", [1]) + to("nowhere", [1]) + to("q", [2, 2])
        outcomes = await publisher.publish_batch(batch)
        refused = [isinstance(outcome, PublishRefused) for outcome in outcomes]
        assert refused == [True, False, True, False, False]
        assert await p.ready("q") == 3


async def test_the_trap_the_library_confirms_the_lost_one_of_two_with_one_id(
    broker_url: str,
) -> None:
    """Pins aiormq 7.2.4: when this fails, a release has fixed it."""
    connection = await aiormq.connect(broker_url)
    try:
        channel = await connection.channel()
        await channel.queue_declare("q", arguments=QUORUM, durable=True)
        outcomes: dict[str, object] = {}

        async def publish(queue: str) -> None:
            try:
                outcomes[queue] = await channel.basic_publish(
                    b"",
                    routing_key=queue,
                    mandatory=True,
                    properties=commands.Basic.Properties(message_id="same"),
                )
            except DeliveryError as error:
                outcomes[queue] = error

        async with anyio.create_task_group() as group:
            group.start_soon(publish, "nowhere")
            group.start_soon(publish, "q")
        assert isinstance(outcomes["nowhere"], commands.Basic.Ack)
        assert isinstance(outcomes["q"], PublishError)
    finally:
        await connection.close()


async def test_a_full_queue_refuses(broker_url: str, host: Host, telemetry: Telemetry) -> None:
    full = {"x-queue-type": "classic", "x-overflow": "reject-publish", "x-max-length": 2}
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", full)
        assert await publisher.publish_batch(to("q", [1, 2])) == [None, None]
        with pytest.raises(PublishRefused, match="nack"):
            await publisher.publish("", "q", message(3))


async def test_a_message_that_no_frame_can_carry_fails_alone(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        bad = Outgoing("", "q", message(2, correlation_id="x" * 256))
        outcomes = await publisher.publish_batch([*to("q", [1]), bad, *to("q", [3])])
        assert isinstance(outcomes[1], Unprocessable)
        assert (outcomes[0], outcomes[2]) == (None, None)
        assert await publisher.publish_batch([bad]) != [None]


async def test_a_silent_broker_costs_the_session_and_the_outcome_is_unknown(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with peer_at(broker_url) as peer, proxy_to(broker_url) as proxy:
        await peer.queue("q", QUORUM)
        url = proxy.url(broker_url)
        async with publishing(url, host, telemetry, deadline_s=0.5) as (publisher, link):
            await publisher.publish("", "q", message(1))
            session = await link.session()
            proxy.freeze()
            outcomes = await publisher.publish_batch(to("q", range(2, 400)))
            assert session.lost.is_set()
            assert isinstance(outcomes[0], DeadlineExceeded)
            assert {type(outcome) for outcome in outcomes} <= {DeadlineExceeded, BrokerLost}
            proxy.thaw()

            async def published() -> bool:
                return await publisher.publish_batch(to("q", [500])) == [None]

            await eventually(published)


async def test_a_cut_connection_makes_everything_in_flight_unknown_and_publishing_resumes(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with peer_at(broker_url) as peer, proxy_to(broker_url) as proxy:
        await peer.queue("q", QUORUM)
        async with publishing(proxy.url(broker_url), host, telemetry) as (publisher, _):
            await publisher.publish("", "q", message(0))
            proxy.freeze()
            outcomes: list[Exception | None] = []

            async def publish() -> None:
                outcomes.extend(await publisher.publish_batch(to("q", range(1, 50))))

            async with anyio.create_task_group() as group:
                group.start_soon(publish)
                await anyio.wait_all_tasks_blocked()
                proxy.cut()
                proxy.thaw()
            assert {type(outcome) for outcome in outcomes} == {BrokerLost}
            with anyio.fail_after(20):
                await publisher.publish("", "q", message(99))


async def test_an_exchange_that_is_missing_costs_the_session_and_not_the_program(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        with pytest.raises(BrokerLost, match="no exchange 'nope'"):
            await publisher.publish("nope", "key", message(1))
        with anyio.fail_after(10):
            await publisher.publish("", "q", message(2))


async def test_without_a_broker_every_message_is_refused_within_the_deadline(
    host: Host, telemetry: Telemetry
) -> None:
    url = "amqp://guest:guest@127.0.0.1:1/"
    async with publishing(url, host, telemetry, deadline_s=0.2) as (publisher, _):
        outcomes = await publisher.publish_batch(to("q", [1, 2]))
        assert [type(outcome) for outcome in outcomes] == [BrokerLost, BrokerLost]


async def test_many_tasks_share_one_channel_and_its_window(
    broker_url: str, host: Host, telemetry: Telemetry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ConfirmChannel, "window", 8)
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        async with anyio.create_task_group() as group:
            for number in range(64):
                group.start_soon(publisher.publish, "", "q", message(number))
        assert await p.ready("q") == 64


async def test_a_publish_that_is_cancelled_does_not_confuse_the_next(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        await publisher.publish("", "q", message(0))
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(publisher.publish, "", "q", message(1))
                await anyio.lowlevel.checkpoint()
                scope.cancel()
        await publisher.publish("", "q", message(1))
        with pytest.raises(PublishRefused):
            await publisher.publish("", "nowhere", message(1))
        assert await p.ready("q") >= 2


async def test_publishes_are_counted_by_result(
    broker_url: str, host: Host, telemetry: Telemetry
) -> None:
    async with publishing(broker_url, host, telemetry) as (publisher, _), peer_at(broker_url) as p:
        await p.queue("q", QUORUM)
        await publisher.publish_batch([*to("q", [1]), *to("nowhere", [2])])
    shown = telemetry.render().decode()
    for result in ("ok", "refused"):
        assert (
            "ordermill_messages_published_total"
            f'{{exchange="",result="{result}",type="order-created"}} 1.0' in shown
        )


async def test_a_memory_alarm_blocks_publishing_until_the_deadline_and_not_for_ever(
    rabbitmq: RabbitMQ, rabbitmq_url: str, host: Host, telemetry: Telemetry
) -> None:
    async def watermark(share: str) -> None:
        await anyio.to_thread.run_sync(rabbitmq.control, "set_vm_memory_high_watermark", share)

    async with peer_at(rabbitmq_url) as peer:
        await peer.queue("q", QUORUM)
        async with publishing(rabbitmq_url, host, telemetry, deadline_s=1.0) as (publisher, link):
            await watermark("0.00001")
            try:
                session = await link.session()
                outcomes = await publisher.publish_batch(to("q", [1, 2]))
                assert [type(outcome) for outcome in outcomes] == [DeadlineExceeded] * 2
                assert session.lost.is_set()
            finally:
                await watermark("0.4")

            async def published() -> bool:
                return await publisher.publish_batch(to("q", [3])) == [None]

            await eventually(published)
