"""The pipeline when it is stopped, killed or cut off in mid-work: what survives."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
from pamqp import commands

from runtime.errors import Unavailable, Unprocessable
from runtime.inbox import Claim
from runtime.message import Message
from runtime.transaction import Transaction
from tests.harness.message_service import QUEUE, Call, Shop, dead, left_over, order, send
from tests.harness.peer import peer_at
from tests.harness.proxy import proxy_to
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.waiting import until


def fails_first(*errors: Exception) -> Callable[[Message, Claim], None]:
    """A handler that raises these, one a call, and then succeeds."""
    left = list(errors)

    def handle(message: Message, claim: Claim) -> None:
        if left:
            raise left.pop(0)

    return handle


async def test_stopping_with_deliveries_at_work_loses_nothing_and_counts_no_attempt(
    shop: Shop,
) -> None:
    shop.lanes = 2
    leaving = anyio.Event()

    async def handle(message: Message, claim: Claim) -> None:
        await leaving.wait()
        if message.message_id == "evt_2":
            raise Unavailable("its mailbox is closing")

    shop.handle = handle
    async with shop.open():
        await send(shop, *(order(number, f"order-{number}") for number in range(1, 7)))
        await until(lambda: len(shop.calls) == 2)

        async def leave() -> None:
            await until(lambda: shop.service.statistics().lanes.closed)
            leaving.set()

        async with anyio.create_task_group() as group:
            group.start_soon(leave)
            await anyio.lowlevel.checkpoint()
            shop.stopping.set()
    assert shop.counted("ok") == 1
    assert shop.counted("retry") == 0
    shop.calls.clear()
    shop.handle = lambda message, claim: None
    async with shop.open():
        await until(lambda: shop.counted("ok") == 6)
    assert {call.message_id for call in shop.calls} == {f"evt_{n}" for n in (2, 3, 4, 5, 6)}
    assert {call.attempt for call in shop.calls} == {0}
    assert await left_over(shop.url) == []


async def test_after_a_crash_the_work_resumes_without_its_completed_steps(shop: Shop) -> None:
    at_work = anyio.Event()

    async def handle(message: Message, claim: Claim) -> None:
        if "charge" not in claim.completed:
            await claim.complete("charge", b"ch_1")
            at_work.set()
            await anyio.sleep_forever()

    shop.handle = handle
    with anyio.CancelScope() as crash:
        async with shop.open():
            await send(shop, order(1))
            await at_work.wait()
            crash.cancel()
    assert crash.cancelled_caught
    async with shop.open():
        await until(lambda: shop.counted("ok") == 1)
    assert shop.calls == [Call("evt_1", 0, False, ()), Call("evt_1", 0, False, ("charge",))]
    assert await left_over(shop.url) == []


async def test_a_connection_lost_in_mid_work_costs_a_redelivery_and_no_second_effect(
    shop: Shop,
) -> None:
    direct = shop.url
    gate = anyio.Event()

    async def handle(message: Message, claim: Claim) -> None:
        await gate.wait()

    shop.handle = handle
    async with proxy_to(direct) as proxy:
        shop.url = proxy.url(direct)
        async with shop.open():
            await send(shop, order(1))
            await until(lambda: len(shop.calls) == 1)
            proxy.cut()
            await until(lambda: shop.service.statistics().consumer.deliveries == 2)
            gate.set()
            await until(lambda: shop.counted("duplicate") == 1)
            assert shop.counted("ok") == 1
    assert len(shop.calls) == 1
    assert await left_over(direct) == []


async def test_nothing_is_acknowledged_while_the_copy_cannot_be_published(shop: Shop) -> None:
    shop.handle = fails_first(Unavailable("provider is down"))
    async with shop.open(), peer_at(shop.url) as peer:
        await peer.channel.queue_delete(f"{QUEUE}.retry.1s")
        await send(shop, order(1))
        await until(lambda: 'result="refused"' in shop.telemetry.render().decode())
        statistics = shop.service.statistics()
        assert (statistics.consumer.unsettled, statistics.lanes.running) == (1, 1)
        assert await shop.states("evt_1") == {"evt_1": "claimed"}
        await shop.consume.declare_again(await shop.consume.session())
        await until(lambda: shop.counted("ok") == 1)
    assert [call.attempt for call in shop.calls] == [0, 1]
    assert await left_over(shop.url) == []


async def test_what_died_of_too_many_deliveries_is_taken_back_and_what_we_parked_is_not(
    shop: Shop,
) -> None:
    shop.handle = fails_first(Unprocessable("amount-differs", "no"))
    async with shop.open(), peer_at(shop.url) as peer:
        await send(shop, order(1))
        await until(lambda: shop.counted("dead") == 1)
    async with peer_at(shop.url) as peer:
        await peer.channel.basic_publish(
            b"{}",
            routing_key=QUEUE,
            properties=commands.Basic.Properties(
                message_id="evt_2",
                message_type="order-created/v1",
                correlation_id="order-2",
                app_id="tests",
                content_type="application/json",
                timestamp=datetime.fromtimestamp(1_700_000_000, UTC),
            ),
        )
        with anyio.fail_after(30):
            while await peer.ready(f"{QUEUE}.dead") < 2:
                message = await peer.channel.basic_get(QUEUE)
                if message.delivery_tag:
                    await peer.channel.basic_reject(message.delivery_tag, requeue=True)
    async with shop.open(), peer_at(shop.url) as peer:
        await until(lambda: shop.counted("ok") == 1)
        parked = await dead(peer)
        assert parked.header.properties.message_id == "evt_1"
    assert [call.message_id for call in shop.calls] == ["evt_1", "evt_2"]
    assert await left_over(shop.url) == []


async def test_a_service_that_cannot_settle_still_stops_and_the_message_comes_back(
    shop: Shop,
) -> None:
    shop.handle = fails_first(Unavailable("provider is down"))
    async with shop.open(), peer_at(shop.url) as peer:
        await peer.channel.queue_delete(f"{QUEUE}.retry.1s")
        await send(shop, order(1))
        await until(lambda: 'result="refused"' in shop.telemetry.render().decode())
    assert shop.counted("retry") == 0
    async with shop.open():
        await until(lambda: shop.counted("ok") == 1)
    assert [call.attempt for call in shop.calls] == [0, 0]


async def test_lanes_that_break_are_rebuilt_and_what_was_in_them_is_delivered_again(
    shop: Shop,
) -> None:
    async def handle(message: Message, claim: Claim) -> None:
        if message.message_id == "evt_1" and len(shop.calls) == 1:
            raise asyncio.CancelledError  # as aiormq does to whoever waits on a lost connection

    shop.handle = handle
    async with shop.open():
        await send(shop, order(1), order(2), order(3, "order-2"))
        await until(lambda: shop.counted("ok") == 3)
        assert shop.counted("retry") == 0
    assert {call.attempt for call in shop.calls} == {0}
    assert await left_over(shop.url) == []


async def test_a_claim_that_is_written_late_is_of_the_lanes_that_wanted_it(shop: Shop) -> None:
    """Their successors may have begun by then, and have nothing to do with it."""
    crash, entered, stalled = anyio.Event(), threading.Event(), threading.Event()

    async def handle(message: Message, claim: Claim) -> None:
        if message.message_id == "evt_1" and len(shop.calls) == 1:
            await crash.wait()
            raise asyncio.CancelledError

    def note_claims(tx: Transaction) -> None:
        tx.connection.execute("CREATE TABLE claims (message_id TEXT, incarnation TEXT)")
        tx.connection.execute(
            "CREATE TRIGGER noted AFTER INSERT ON inbox"
            " BEGIN INSERT INTO claims VALUES (NEW.message_id, NEW.incarnation); END"
        )

    def stall(_: Transaction) -> None:
        entered.set()
        assert stalled.wait(20)

    shop.handle = handle
    async with shop.open(), anyio.create_task_group() as tasks:
        await shop.database.write(note_claims)
        await send(shop, order(1))
        await until(lambda: len(shop.calls) == 1)
        tasks.start_soon(shop.database.write, stall)
        await until(entered.is_set)
        await send(shop, order(2, "order-2"))
        await until(lambda: shop.database.statistics().waiting == 2)
        crash.set()
        await until(lambda: 'actor="lanes-payment"' in shop.telemetry.render().decode())
        stalled.set()
        await until(lambda: shop.counted("ok") == 2)
        claims = await shop.database.read(
            lambda sql: dict(sql.execute("SELECT * FROM claims").fetchall())
        )
    assert claims["evt_2"] == claims["evt_1"]


async def test_a_flood_of_one_key_does_not_stall_the_others(shop: Shop) -> None:
    gate = anyio.Event()

    async def handle(message: Message, claim: Claim) -> None:
        if message.correlation_id == "flooded":
            await gate.wait()

    shop.handle = handle
    async with shop.open():
        await send(shop, *(order(number, "flooded") for number in range(20)))
        await send(shop, *(order(number, f"order-{number}") for number in range(20, 30)))
        await until(lambda: shop.counted("ok") == 10)
        gate.set()
        await until(lambda: shop.counted("ok") == 30)


async def test_messages_flow_again_after_the_broker_was_silent(shop: Shop) -> None:
    direct = shop.url
    async with proxy_to(direct) as proxy:
        shop.url = proxy.url(direct)
        async with shop.open():
            await send(shop, order(1))
            await until(lambda: shop.counted("ok") == 1)
            proxy.refuse()
            proxy.cut()
            await until(lambda: shop.consume.state.state == "reconnecting")
            proxy.refuse(False)
            await send(shop, order(2))
            await until(lambda: shop.counted("ok") == 2)


async def test_a_broker_killed_under_load_loses_nothing_that_it_confirmed(
    fresh_rabbitmq: RabbitMQ, tmp_path: Path
) -> None:
    rabbitmq = fresh_rabbitmq
    shop = Shop(rabbitmq.url, tmp_path, lambda message, claim: None)
    numbers = range(400)

    async def send_all() -> None:
        for number in numbers:
            while True:
                try:
                    await send(shop, order(number, f"order-{number % 20}"))
                except Unavailable:
                    continue
                break

    # RabbitMQ 3.10 answers the declaration of a quorum queue before it is safe from SIGKILL.
    async with shop.open():
        pass
    await anyio.to_thread.run_sync(rabbitmq.stop)
    await anyio.to_thread.run_sync(rabbitmq.start)
    async with shop.open():
        async with anyio.create_task_group() as group:
            group.start_soon(send_all)
            await until(lambda: shop.counted("ok") > 50)
            await anyio.to_thread.run_sync(rabbitmq.kill)
            await anyio.to_thread.run_sync(rabbitmq.start)
        await until(lambda: shop.counted("ok") == len(numbers), within_s=60)
    assert sorted({call.message_id for call in shop.calls}) == sorted(
        order(number).message_id for number in numbers
    )
    assert shop.counted("retry") == shop.counted("dead") == 0
    assert await left_over(shop.url) == []
