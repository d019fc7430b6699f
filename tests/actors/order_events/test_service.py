"""The single writer: one transaction a request, one commit a batch, and a cache that never lies."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from actors.domain.events import decode_body, decode_message
from actors.domain.order import Order
from actors.domain.order_events import (
    CancelOrder,
    Command,
    Intent,
    OrderQuery,
    PaymentDetails,
    UpdatePayment,
)
from actors.order_events import idempotency
from actors.order_events.client import LocalOrderEvents
from actors.order_events.deciding import Append, Execute, Request
from actors.order_events.schema import MIGRATIONS
from actors.order_events.service import OrderEventsActor
from runtime.actor import Envelope
from runtime.database import open_database
from runtime.errors import DeadlineExceeded, Rejection, StoreUnavailable
from runtime.event_store import find_faults
from runtime.host import production_host
from runtime.telemetry import quiet_telemetry
from runtime.transaction import Transaction
from tests.harness.order_events import (
    RecordingPublisher,
    local_order_events,
    order_events_parts,
    sample_intent,
)
from tests.harness.orders import SAMPLES, sample_placing
from tests.harness.waiting import until


class SetClock:
    """A wall clock that tests set."""

    def __init__(self) -> None:
        self.at_s = 1_700_000_000.0

    def monotonic(self) -> float:
        return anyio.current_time()

    def wall(self) -> float:
        return self.at_s


async def _all(
    client: LocalOrderEvents, requests: list[tuple[Command, Intent]]
) -> list[Order | Rejection]:
    """Ask for everything at once; return the answers in order."""
    answers: dict[int, Order | Rejection] = {}

    async def one(place: int, command: Command, intent: Intent) -> None:
        try:
            answers[place] = (await client.execute(command, intent)).order
        except Rejection as refusal:
            answers[place] = refusal

    async with anyio.create_task_group() as tasks:
        for place, (command, intent) in enumerate(requests):
            tasks.start_soon(one, place, command, intent)
    return [answers[place] for place in range(len(requests))]


async def test_what_waits_is_decided_in_one_commit_each_seeing_those_before(
    tmp_path: Path,
) -> None:
    async with order_events_parts(tmp_path) as parts:
        client = parts.client("gateway")
        order = (await client.execute(sample_placing(), sample_intent())).order
        groups = parts.database.statistics().groups
        cancel = CancelOrder(order.id, "customer")
        answers = await _all(client, [(cancel, sample_intent()) for _ in range(20)])
        assert parts.database.statistics().groups - groups <= 3
    accepted = [answer for answer in answers if isinstance(answer, Order)]
    refused = [answer for answer in answers if isinstance(answer, Rejection)]
    assert [order.version for order in accepted] == [2]
    assert {refusal.code for refusal in refused} == {"order-already-cancelled"}


async def test_one_key_asked_many_times_at_once_places_one_order(tmp_path: Path) -> None:
    async with local_order_events(tmp_path) as client:
        answers = await _all(client, [(sample_placing(), sample_intent("k"))] * 20)
        assert len(await client.orders(OrderQuery())) == 1
    assert all(answer == answers[0] for answer in answers)


async def test_a_request_that_raises_fails_alone(tmp_path: Path) -> None:
    """A body that its reader refuses is found out in the middle of the batch's transaction."""
    async with order_events_parts(tmp_path) as parts:
        gateway, shipping = parts.client("gateway"), parts.client("shipping")
        order = (await gateway.execute(sample_placing(), sample_intent())).order
        unreadable = PaymentDetails("4242", "visa", "x")
        requests: list[tuple[Command, Intent]] = [
            (sample_placing(), sample_intent("a")),
            (UpdatePayment(order.id, unreadable), sample_intent("b")),
            (CancelOrder(order.id, "customer"), sample_intent("c")),
        ]
        placed, invalid, cancelled = await _all(gateway, requests)
        assert isinstance(placed, Order)
        assert isinstance(invalid, Rejection)
        assert invalid.code == "validation-failed"
        assert isinstance(cancelled, Order)
        assert cancelled.version == 2
        assert await shipping.order(order.id) == cancelled


async def test_nothing_of_a_full_disk_is_kept_and_the_same_key_succeeds_later(
    tmp_path: Path,
) -> None:
    async with order_events_parts(tmp_path) as parts:
        client = parts.client("gateway")
        order = (await client.execute(sample_placing(), sample_intent())).order

        def limit(pages: int, tx: Transaction) -> None:
            tx.connection.execute(f"PRAGMA max_page_count={pages}").fetchone()

        await parts.database.write(partial(limit, 1))
        command = CancelOrder(order.id, "customer")
        placed = await _place_until_full(client)
        await parts.database.write(partial(limit, 1_000_000))
        again = await client.execute(sample_placing(), sample_intent(f"k{placed}"))
        assert not again.replayed
        assert again.order.number == 1002 + placed
        assert (await client.execute(command, sample_intent("c"))).order.version == 2
        assert await parts.database.read(find_faults) == []


async def _place_until_full(client: LocalOrderEvents) -> int:
    """Use up the file's last free pages; return how many orders fitted."""
    for placed in range(500):
        try:
            await client.execute(sample_placing(), sample_intent(f"k{placed}"))
        except StoreUnavailable:
            return placed
    pytest.fail("the disk never became full")


async def test_everything_is_found_again_after_a_restart(tmp_path: Path) -> None:
    publisher = RecordingPublisher()
    publisher.down = True
    async with local_order_events(tmp_path, publisher=publisher) as client:
        first = await client.execute(sample_placing(), sample_intent("k"))
    publisher.down = False
    async with local_order_events(tmp_path, publisher=publisher) as client:
        again = await client.execute(sample_placing(), sample_intent("k"))
        assert (again.order, again.replayed) == (first.order, True)
        cancelled = await client.execute(CancelOrder(first.order.id, "customer"), sample_intent())
        assert cancelled.order.version == 2
        await until(lambda: len(publisher.published) == 2)
    assert publisher.types() == ["order-created/v1", "order-cancelled/v1"]


async def test_published_are_exactly_the_events_of_the_table_with_their_properties(
    tmp_path: Path,
) -> None:
    publisher = RecordingPublisher()
    clock = SetClock()
    host = replace(production_host(tmp_path), clock=clock)
    async with order_events_parts(tmp_path, host=host, publisher=publisher) as parts:
        gateway, payment = parts.client("gateway"), parts.client("payment")
        intent = sample_intent(correlation_id="req_9")
        order = (await gateway.execute(sample_placing(), intent)).order
        clock.at_s += 7.5
        for name in ("payment-auth-in-progress", "payment-captured"):
            await payment.append(order.id, f"evt_{name}", SAMPLES[name], correlation_id="evt_msg")
        await until(lambda: len(publisher.published) == 2)
        events = await gateway.events(order.id)
    created, captured = publisher.published
    assert (created.exchange, created.routing_key) == ("orders", "orders.order-created")
    assert (captured.exchange, captured.routing_key) == ("payment", "payment.payment-captured")
    message = captured.message
    assert message.delivery_mode == 2
    assert message.content_type == "application/json"
    assert message.message_id == "evt_payment-captured"
    assert message.correlation_id == "evt_msg"
    assert message.app_id == "payment-service"
    assert message.type == "payment-captured/v1"
    assert message.timestamp == 1_700_000_007
    assert message.headers == {"x-order-correlation": "req_9"}
    body = decode_message(message.body)
    assert (body.order_id, body.version) == (order.id, 3)
    assert decode_body("payment-captured", 1, body.data) == SAMPLES["payment-captured"]
    assert created.message.message_id == events[0].id
    assert created.message.correlation_id == "req_9"


async def test_a_trace_travels_with_the_message(tmp_path: Path) -> None:
    publisher = RecordingPublisher()
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    async with local_order_events(tmp_path, publisher=publisher) as client:
        intent = Intent(principal="guest", route="r", correlation_id="req_1", traceparent=trace)
        await client.execute(sample_placing(), intent)
        await until(lambda: publisher.published)
    assert publisher.published[0].message.headers["traceparent"] == trace


async def test_times_never_go_back_within_an_order(tmp_path: Path) -> None:
    clock = SetClock()
    host = replace(production_host(tmp_path), clock=clock)
    async with local_order_events(tmp_path, host=host) as client:
        order = (await client.execute(sample_placing(), sample_intent())).order
        clock.at_s -= 3600
        later = (await client.execute(CancelOrder(order.id, "customer"), sample_intent())).order
    assert later.updated_at_ms == order.updated_at_ms


async def test_personal_data_is_in_the_vault_and_nowhere_else(tmp_path: Path) -> None:
    publisher = RecordingPublisher()
    async with order_events_parts(tmp_path, publisher=publisher) as parts:
        client = parts.client("gateway")
        order = (await client.execute(sample_placing(), sample_intent("k"))).order
        await _cancel_twice(client, order.id)
        await until(lambda: len(publisher.published) == 2)
        tables = await parts.database.read(
            lambda c: [r[0] for r in c.execute("SELECT name FROM sqlite_master WHERE type='table'")]
        )
        for table in tables:
            rows = await parts.database.read(
                lambda c, t=table: str(c.execute(f"SELECT * FROM {t}").fetchall())
            )
            for secret in ("Lovelace", "ada@", "St James", "pm_card"):
                assert (secret in rows) == (table == "vault"), table
    for outgoing in publisher.published:
        assert b"Lovelace" not in outgoing.message.body
        assert b"pm_card" not in outgoing.message.body


async def _cancel_twice(client: LocalOrderEvents, order_id: str) -> None:
    await client.execute(CancelOrder(order_id, "customer"), sample_intent("c1"))
    with pytest.raises(Rejection):
        await client.execute(CancelOrder(order_id, "customer"), sample_intent("c2"))


async def test_an_unanswered_command_is_carried_out_all_the_same(tmp_path: Path) -> None:
    async with order_events_parts(tmp_path) as parts:
        hasty = LocalOrderEvents(
            parts.ref,
            parts.database,
            parts.wakeups,
            parts.latest,
            service="gateway",
            deadline_s=0.0,
        )
        with pytest.raises(DeadlineExceeded):
            await hasty.execute(sample_placing(), sample_intent("k"))
        receipt = await parts.client("gateway").execute(sample_placing(), sample_intent("k"))
        assert receipt.replayed
        assert receipt.order.number == 1001


async def test_appends_are_counted_by_type(tmp_path: Path) -> None:
    telemetry = quiet_telemetry()
    host = production_host(tmp_path)
    async with open_database(host.disk, "orders.db", MIGRATIONS) as database:
        actor = OrderEventsActor(
            database,
            host,
            telemetry,
            on_appended=lambda order: None,
            on_kept=lambda order_id, ref, kept: None,
            wake_relay=lambda: None,
        )
        intent = sample_intent("k", expected_version=1)
        batch: list[Envelope[Request]] = [
            Envelope(Execute("gateway", sample_placing(), intent)),
            Envelope(Execute("gateway", sample_placing(), intent)),
            Envelope(Append("payment", "ord_none", "e", SAMPLES["payment-captured"], "m", 9)),
        ]
        await actor.receive_batch(batch)
    metrics = telemetry.render().decode()
    assert 'ordermill_events_appended_total{type="order-created"} 1.0' in metrics
    assert "ordermill_version_conflicts_total 1.0" in metrics
    assert "ordermill_store_append_duration_seconds_count 1.0" in metrics


# Forgetting


async def test_old_outcomes_are_forgotten_and_young_ones_are_not(tmp_path: Path) -> None:
    clock = SetClock()
    host = replace(production_host(tmp_path), clock=clock)
    async with order_events_parts(tmp_path, host=host) as parts:
        client = parts.client("gateway")
        await client.execute(sample_placing(), sample_intent("old"))
        clock.at_s += 100
        await client.execute(sample_placing(), sample_intent("young"))
        before_ms = int(clock.at_s * 1000)
        purge = partial(_purge, before_ms)
        assert await parts.database.write(purge) == 1
        assert await parts.database.write(purge) == 0
        assert not (await client.execute(sample_placing(), sample_intent("old"))).replayed
        assert (await client.execute(sample_placing(), sample_intent("young"))).replayed


def _purge(before_ms: int, tx: Transaction) -> int:
    return idempotency.purge(tx.connection, before_ms, 500)


async def test_the_purge_is_one_of_the_children(tmp_path: Path) -> None:
    clock = SetClock()
    host = replace(production_host(tmp_path), clock=clock)
    async with local_order_events(tmp_path, host=host) as client:
        await client.execute(sample_placing(), sample_intent("old"))
    clock.at_s += 604801
    async with order_events_parts(tmp_path, host=host) as parts:
        purged = False

        async def look() -> None:
            nonlocal purged
            while not purged:
                rows = await parts.database.read(
                    lambda c: c.execute("SELECT count(*) FROM idempotency").fetchone()
                )
                purged = rows == (0,)

        with anyio.fail_after(15):
            await look()
