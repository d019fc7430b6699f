"""What every implementation of `OrderEvents` does, however it reaches the service.

To add an implementation, add to `IMPLEMENTATIONS` a context manager that runs a fresh service in a
folder and gives a function from a service's name to its client.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import get_args

import anyio
import msgspec
import pytest

from actors.domain.events import EVENT_TYPES, Body, PaymentCaptured, Shipped
from actors.domain.order import Order, fold_all, status
from actors.domain.order_events import (
    CancelOrder,
    OrderEvents,
    OrderQuery,
    PaymentDetails,
    Personal,
    Receipt,
    Service,
    UpdatePayment,
    UpdateShippingAddress,
)
from actors.domain.values import Address, Customer
from runtime.errors import Rejection, Unprocessable
from tests.harness.order_events import (
    order_events_over_http,
    order_events_parts,
    sample_intent,
)
from tests.harness.orders import SAMPLES, TOTAL, sample_address, sample_placing

Clients = Callable[[Service], OrderEvents]


@asynccontextmanager
async def _local(folder: Path) -> AsyncIterator[Clients]:
    async with order_events_parts(folder) as parts:
        yield parts.client


@asynccontextmanager
async def _http(folder: Path) -> AsyncIterator[Clients]:
    async with order_events_parts(folder) as parts, order_events_over_http(parts) as client:
        yield client


IMPLEMENTATIONS: dict[str, Callable[[Path], AbstractAsyncContextManager[Clients]]] = {
    "local": _local,
    "http": _http,
}


@pytest.fixture(params=sorted(IMPLEMENTATIONS))
async def clients(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Clients]:
    async with IMPLEMENTATIONS[request.param](tmp_path) as made:
        yield made


async def _placed(clients: Clients, email: str = "ada@example.org") -> Order:
    receipt = await clients("gateway").execute(sample_placing(email=email), sample_intent())
    return receipt.order


async def _append(clients: Clients, order_id: str, *event_types: str) -> None:
    for event_type in event_types:
        service: Service = (
            "payment" if EVENT_TYPES[event_type].app_id == "payment-service" else "shipping"
        )
        await clients(service).append(
            order_id, f"{order_id}-{event_type}", SAMPLES[event_type], correlation_id="msg_1"
        )


async def _refusal(call: object) -> Rejection:
    with pytest.raises(Rejection) as caught:
        await call  # type: ignore[misc]  # any coroutine of the protocol
    return caught.value


PAID = ("payment-auth-in-progress", "payment-captured")
PREPARED = (*PAID, "shipping-preparation-in-progress", "shipping-prepared")


# Commands


async def test_an_order_is_placed_with_the_next_number(clients: Clients) -> None:
    first = await clients("gateway").execute(sample_placing(), sample_intent())
    second = await clients("gateway").execute(sample_placing(), sample_intent())
    assert (first.order.number, second.order.number) == (1001, 1002)
    assert first.order.id != second.order.id
    assert not first.replayed
    assert (first.order.version, status(first.order), first.order.total) == (1, "placed", TOTAL)
    assert await clients("gateway").order(first.order.id) == first.order


async def test_what_a_command_makes_is_told_apart_by_its_prefix(clients: Clients) -> None:
    order = await _placed(clients)
    card = PaymentDetails("pm_card_declined", "visa", "0002")
    paid = await clients("gateway").execute(UpdatePayment(order.id, card), sample_intent())
    events = await clients("gateway").events(order.id)
    made = [order.id, order.customer_ref, order.address_ref, order.payment.ref, events[0].id]
    made += [paid.order.payment.ref, events[1].id]
    assert [id_[:4] for id_ in made] == ["ord_", "cus_", "adr_", "pay_", "evt_", "pay_", "evt_"]
    assert len(set(made)) == len(made)


async def test_a_command_leads_to_the_next_version(clients: Clients) -> None:
    order = await _placed(clients)
    gateway = clients("gateway")
    card = PaymentDetails("pm_card_declined", "visa", "0002")
    paid = await gateway.execute(UpdatePayment(order.id, card), sample_intent())
    assert (paid.order.version, paid.order.payment.last4) == (2, "0002")
    moved = await gateway.execute(
        UpdateShippingAddress(order.id, sample_address("Elsewhere 1")), sample_intent()
    )
    assert moved.order.version == 3
    assert moved.order.address_ref != order.address_ref
    called_off = await gateway.execute(
        CancelOrder(order.id, "customer", "too late"), sample_intent()
    )
    assert status(called_off.order) == "cancelled"
    assert called_off.order.cancel_reason == "too late"
    assert await gateway.order(order.id) == called_off.order


async def test_the_same_key_gives_the_same_answer_for_ever(clients: Clients) -> None:
    gateway = clients("gateway")
    first = await gateway.execute(sample_placing(), sample_intent("k"))
    await gateway.execute(CancelOrder(first.order.id, "customer"), sample_intent())
    again = await gateway.execute(sample_placing(), sample_intent("k", correlation_id="req_2"))
    assert again == msgspec.structs.replace(first, replayed=True)
    assert len(await gateway.orders(OrderQuery())) == 1


async def test_another_body_under_the_same_key_is_refused(clients: Clients) -> None:
    gateway = clients("gateway")
    await gateway.execute(sample_placing(), sample_intent("k"))
    refusal = await _refusal(
        gateway.execute(sample_placing(), sample_intent("k", fingerprint="other"))
    )
    assert (refusal.code, refusal.status_hint) == ("idempotency-key-reused", 422)


async def test_another_if_match_under_the_same_key_is_refused(clients: Clients) -> None:
    order = await _placed(clients)
    cancel = CancelOrder(order.id, "customer")
    gateway = clients("gateway")
    await _refusal(gateway.execute(cancel, sample_intent("k", expected_version=7)))
    refusal = await _refusal(gateway.execute(cancel, sample_intent("k", expected_version=1)))
    assert refusal.code == "idempotency-key-reused"


async def test_a_replay_is_the_first_answer_and_carries_nothing_out(clients: Clients) -> None:
    gateway = clients("gateway")
    assert await gateway.replay(sample_intent("k")) is None
    assert await gateway.replay(sample_intent()) is None
    assert await gateway.orders(OrderQuery()) == []
    first = await gateway.execute(sample_placing(), sample_intent("k"))
    await _append(clients, first.order.id, "payment-auth-in-progress")
    again = await gateway.replay(sample_intent("k", correlation_id="req_2"))
    assert again == msgspec.structs.replace(first, replayed=True)
    for other in ({"fingerprint": "other"}, {"expected_version": 1}):
        refusal = await _refusal(gateway.replay(sample_intent("k", **other)))
        assert (refusal.code, refusal.status_hint) == ("idempotency-key-reused", 422)
    for other in ({"principal": "operator"}, {"route": "POST /v1/other"}):
        assert await gateway.replay(sample_intent("k", **other)) is None


async def test_a_replayed_refusal_is_raised_as_it_was(clients: Clients) -> None:
    order = await _placed(clients)
    await _append(clients, order.id, "payment-auth-in-progress")
    gateway = clients("gateway")
    card = PaymentDetails("pm_card_declined", "visa", "0002")
    locked = await _refusal(gateway.execute(UpdatePayment(order.id, card), sample_intent("k")))
    again = await _refusal(gateway.replay(sample_intent("k")))
    assert (again.code, again.status_hint, again.message) == ("payment-locked", 409, locked.message)
    assert again.details == {**locked.details, "replayed": True}


async def test_a_replay_waits_for_the_command_that_was_handed_over_before(clients: Clients) -> None:
    gateway = clients("gateway")
    receipts: list[Receipt | None] = []

    async def ask(call: Awaitable[Receipt | None]) -> None:
        receipts.append(await call)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask, gateway.execute(sample_placing(), sample_intent("k")))
        tasks.start_soon(ask, gateway.replay(sample_intent("k")))
    first, again = receipts
    assert first is not None
    assert again == msgspec.structs.replace(first, replayed=True)


@pytest.mark.parametrize("service", ["payment", "shipping", "notification"])
async def test_only_the_gateway_replays(clients: Clients, service: Service) -> None:
    await clients("gateway").execute(sample_placing(), sample_intent("k"))
    refusal = await _refusal(clients(service).replay(sample_intent("k")))
    assert (refusal.code, refusal.status_hint) == ("forbidden", 403)


@pytest.mark.parametrize("other", [{"principal": "operator"}, {"route": "POST /v1/other"}])
async def test_a_key_belongs_to_one_principal_and_route(
    clients: Clients, other: dict[str, str]
) -> None:
    gateway = clients("gateway")
    first = await gateway.execute(sample_placing(), sample_intent("k"))
    second = await gateway.execute(sample_placing(), sample_intent("k", **other))
    assert first.order.id != second.order.id
    assert not second.replayed


async def test_a_refusal_is_remembered_under_its_key_too(clients: Clients) -> None:
    order = await _placed(clients)
    gateway = clients("gateway")
    cancel = CancelOrder(order.id, "customer")
    early = await _refusal(gateway.execute(cancel, sample_intent("k", expected_version=2)))
    assert (early.code, early.status_hint) == ("version-mismatch", 412)
    await _append(clients, order.id, "payment-auth-in-progress")
    again = await _refusal(gateway.execute(cancel, sample_intent("k", expected_version=2)))
    assert (again.code, again.status_hint, again.message) == (early.code, 412, early.message)
    assert again.details == {**early.details, "replayed": True}
    accepted = await gateway.execute(cancel, sample_intent("k2", expected_version=2))
    assert accepted.order.version == 3


async def test_a_guards_refusal_names_the_blocking_event(clients: Clients) -> None:
    order = await _placed(clients)
    await _append(clients, order.id, *PAID, "shipping-preparation-in-progress")
    command = CancelOrder(order.id, "customer")
    for key in ("k", "k", None):
        refusal = await _refusal(clients("gateway").execute(command, sample_intent(key)))
        assert (refusal.code, refusal.status_hint) == ("cancellation-locked", 409)
        blocking = refusal.details["blocking_event"]
        assert isinstance(blocking, dict)
        assert (blocking["type"], blocking["version"]) == ("shipping-preparation-in-progress", 4)
        assert refusal.details["order_status"] == "preparing"
    assert (await clients("gateway").order(order.id)).version == 4


async def test_what_was_never_decided_leaves_its_key_free(clients: Clients) -> None:
    gateway = clients("gateway")
    invalid = msgspec.structs.replace(sample_placing(), payment=PaymentDetails("4242", "visa", "1"))
    refusal = await _refusal(gateway.execute(invalid, sample_intent("k")))
    assert (refusal.code, refusal.status_hint) == ("validation-failed", 422)
    receipt = await gateway.execute(sample_placing(), sample_intent("k", fingerprint="f2"))
    assert not receipt.replayed
    assert receipt.order.number == 1001


async def test_an_unknown_order_is_not_found(clients: Clients) -> None:
    gateway = clients("gateway")
    calls = [
        gateway.execute(CancelOrder("ord_none", "customer"), sample_intent("k")),
        gateway.order("ord_none"),
        gateway.events("ord_none"),
        gateway.events("ord_none", after=3),
        gateway.personal("ord_none", "cus_none"),
        clients("payment").append(
            "ord_none", "evt_1", SAMPLES["payment-auth-in-progress"], correlation_id="m"
        ),
    ]
    for call in calls:
        refusal = await _refusal(call)
        assert (refusal.code, refusal.status_hint) == ("not-found", 404)


@pytest.mark.parametrize("service", ["payment", "shipping", "notification"])
async def test_only_the_gateway_acts_for_customers(clients: Clients, service: Service) -> None:
    refusal = await _refusal(clients(service).execute(sample_placing(), sample_intent()))
    assert (refusal.code, refusal.status_hint) == ("forbidden", 403)


# Events of services


@pytest.mark.parametrize("event_type", EVENT_TYPES)
@pytest.mark.parametrize("service", get_args(Service))
async def test_a_service_appends_its_own_events_only(
    clients: Clients, service: Service, event_type: str
) -> None:
    order = await _placed(clients)
    refusal: Rejection | None = None
    try:
        await clients(service).append(
            order.id, "evt_mine", SAMPLES[event_type], correlation_id="msg_1"
        )
    except Rejection as refused:
        refusal = refused
    own = EVENT_TYPES[event_type].app_id == f"{service}-service"
    assert (refusal is not None and refusal.code == "forbidden") == (not own)


async def test_an_append_is_idempotent_by_its_id(clients: Clients) -> None:
    order = await _placed(clients)
    payment = clients("payment")
    body = SAMPLES["payment-auth-in-progress"]
    first = await payment.append(order.id, "evt_a", body, correlation_id="msg_1")
    assert (first.replayed, first.event.id, first.event.version) == (False, "evt_a", 2)
    assert (first.event.correlation_id, first.event.order_correlation) == ("msg_1", "req_1")
    again = await payment.append(
        order.id, "evt_a", body, correlation_id="msg_2", expected_version=1
    )
    assert again == msgspec.structs.replace(first, replayed=True)
    assert (await payment.order(order.id)).version == 2


async def test_an_id_stands_for_one_event(clients: Clients) -> None:
    order, other = await _placed(clients), await _placed(clients)
    payment = clients("payment")
    body = SAMPLES["payment-auth-in-progress"]
    await payment.append(order.id, "evt_a", body, correlation_id="msg_1")
    attempts: list[tuple[str, Body]] = [
        (other.id, body),
        (order.id, SAMPLES["payment-captured"]),
        (order.id, msgspec.structs.replace(body, attempt=2)),
    ]
    for order_id, changed in attempts:
        refusal = await _refusal(payment.append(order_id, "evt_a", changed, correlation_id="msg_1"))
        assert (refusal.code, refusal.status_hint) == ("event-id-conflict", 409)


async def test_an_append_is_guarded(clients: Clients) -> None:
    order = await _placed(clients)
    refusal = await _refusal(
        clients("shipping").append(order.id, "evt_s", SAMPLES["shipped"], correlation_id="msg_1")
    )
    assert (refusal.code, refusal.status_hint) == ("not-prepared", 409)
    await _append(clients, order.id, "payment-auth-in-progress")
    other_attempt = PaymentCaptured(2, "ch_2", TOTAL, 2)
    refusal = await _refusal(
        clients("payment").append(order.id, "evt_c", other_attempt, correlation_id="msg_1")
    )
    assert refusal.code == "transition-refused"


async def test_an_append_may_expect_a_version(clients: Clients) -> None:
    order = await _placed(clients)
    body = SAMPLES["payment-auth-in-progress"]
    payment = clients("payment")
    refusal = await _refusal(
        payment.append(order.id, "evt_a", body, correlation_id="m", expected_version=2)
    )
    assert (refusal.code, refusal.status_hint) == ("version-conflict", 409)
    assert refusal.details["current_version"] == 1
    recorded = await payment.append(order.id, "evt_a", body, correlation_id="m", expected_version=1)
    assert recorded.event.version == 2


async def test_shipped_again_with_the_same_parcel_is_the_original(clients: Clients) -> None:
    order = await _placed(clients)
    await _append(clients, order.id, *PREPARED)
    shipping = clients("shipping")
    first = await shipping.append(order.id, "evt_1", SAMPLES["shipped"], correlation_id="req_7")
    again = await shipping.append(order.id, "evt_2", SAMPLES["shipped"], correlation_id="req_8")
    assert again == msgspec.structs.replace(first, replayed=True)
    refusal = await _refusal(
        shipping.append(order.id, "evt_3", Shipped("DHL", "OTHER"), correlation_id="req_9")
    )
    assert (refusal.code, refusal.status_hint) == ("already-shipped", 409)


async def test_a_body_that_could_not_be_read_again_is_not_written(clients: Clients) -> None:
    order = await _placed(clients)
    await _append(clients, order.id, *PREPARED)
    with pytest.raises(Unprocessable):
        await clients("shipping").append(
            order.id, "evt_1", Shipped("DHL", ""), correlation_id="req_1"
        )
    assert (await clients("gateway").order(order.id)).version == 5


# Reading


async def test_an_order_is_shown_as_it_was(clients: Clients) -> None:
    order = await _placed(clients)
    await _append(clients, order.id, *PREPARED)
    gateway = clients("gateway")
    events = await gateway.events(order.id)
    for event in events:
        then = fold_all(events[: event.version])
        assert await gateway.order(order.id, at_version=event.version) == then
    latest = await gateway.order(order.id, at_ms=events[-1].recorded_at_ms)
    assert latest == await gateway.order(order.id)
    for at in ({"at_version": 6}, {"at_version": 0}, {"at_ms": events[0].recorded_at_ms - 1}):
        assert (await _refusal(gateway.order(order.id, **at))).code == "not-found"


async def test_events_are_paged_by_version(clients: Clients) -> None:
    order = await _placed(clients)
    await _append(clients, order.id, *PREPARED)
    gateway = clients("gateway")
    everything = await gateway.events(order.id)
    assert [event.version for event in everything] == [1, 2, 3, 4, 5]
    assert [event.type.name for event in everything] == ["order-created", *PREPARED]
    assert await gateway.events(order.id, after=2, limit=2) == everything[2:4]
    assert await gateway.events(order.id, after=5) == []
    assert await gateway.events(order.id, after=5, wait_s=0.01) == []


async def test_a_long_poll_ends_with_the_next_event(clients: Clients) -> None:
    order, other = await _placed(clients), await _placed(clients)
    found: list[int] = []

    async def poll() -> None:
        events = await clients("gateway").events(order.id, after=1, wait_s=20.0)
        found.extend(event.version for event in events)

    with anyio.fail_after(15):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(poll)
            await _append(clients, other.id, "payment-auth-in-progress")
            await _append(clients, order.id, "payment-auth-in-progress")
    assert found == [2]


async def test_each_service_reads_the_personal_data_it_needs(clients: Clients) -> None:
    order = await _placed(clients)
    values = {
        order.customer_ref: Personal(customer=Customer("Ada Lovelace", "ada@example.org")),
        order.address_ref: Personal(address=sample_address()),
        order.payment.ref: Personal(payment_token="pm_card_visa"),
    }
    entitled: dict[Service, list[str]] = {
        "gateway": [order.customer_ref, order.address_ref],
        "payment": [order.payment.ref],
        "shipping": [order.address_ref],
        "notification": [order.customer_ref],
    }
    for service, refs in entitled.items():
        for ref, personal in values.items():
            if ref in refs:
                assert await clients(service).personal(order.id, ref) == personal
            else:
                refusal = await _refusal(clients(service).personal(order.id, ref))
                assert (refusal.code, refusal.status_hint) == ("forbidden", 403)


async def test_several_references_are_read_at_once_or_not_at_all(clients: Clients) -> None:
    order = await _placed(clients)
    read = clients("gateway").personal
    whole = await read(order.id, order.customer_ref, order.address_ref)
    assert whole == Personal(Customer("Ada Lovelace", "ada@example.org"), sample_address())
    refusal = await _refusal(read(order.id, order.customer_ref, order.payment.ref))
    assert refusal.code == "forbidden"


async def test_a_reference_is_good_for_its_own_order_only(clients: Clients) -> None:
    order, other = await _placed(clients), await _placed(clients)
    refusal = await _refusal(clients("gateway").personal(order.id, other.customer_ref))
    assert refusal.code == "not-found"


async def test_earlier_addresses_stay_readable(clients: Clients) -> None:
    order = await _placed(clients)
    moved = await clients("gateway").execute(
        UpdateShippingAddress(order.id, sample_address("Elsewhere 1")), sample_intent()
    )
    shipping = clients("shipping")
    now = await shipping.personal(order.id, moved.order.address_ref)
    then = await shipping.personal(order.id, order.address_ref)
    assert isinstance(now.address, Address)
    assert isinstance(then.address, Address)
    assert (now.address.line1, then.address.line1) == ("Elsewhere 1", "12 St James's Square")


async def test_the_order_list_is_newest_first_and_filtered(clients: Clients) -> None:
    first = await _placed(clients)
    second = await _placed(clients, "Grace@Example.org")
    third = await _placed(clients)
    await _append(clients, third.id, "payment-auth-in-progress")
    gateway = clients("gateway")

    async def numbers(query: OrderQuery) -> list[int]:
        return [row.number for row in await gateway.orders(query)]

    assert await numbers(OrderQuery()) == [1003, 1002, 1001]
    assert await numbers(OrderQuery(limit=2)) == [1003, 1002]
    assert await numbers(OrderQuery(before=1003, limit=1)) == [1002]
    assert await numbers(OrderQuery(status="placed")) == [1002, 1001]
    assert await numbers(OrderQuery(email="ADA@example.org")) == [1003, 1001]
    assert await numbers(OrderQuery(email="grace@example.org", status="placed")) == [1002]
    assert await numbers(OrderQuery(email="grace")) == []
    assert await numbers(OrderQuery(since_ms=first.created_at_ms)) == [1003, 1002, 1001]
    assert await numbers(OrderQuery(since_ms=third.updated_at_ms + 10**6)) == []
    (row,) = await gateway.orders(OrderQuery(email="grace@example.org"))
    assert (row.id, row.status, row.version) == (second.id, "placed", 1)
    assert (row.total_amount, row.currency) == (4890, "EUR")


async def test_a_refund_is_due_until_it_is_made(clients: Clients) -> None:
    payment = clients("payment")
    order, other = await _placed(clients), await _placed(clients)
    for each in (order, other):
        await _append(clients, each.id, "payment-auth-in-progress")
    assert await payment.refunds_due() == []
    await clients("gateway").execute(CancelOrder(order.id, "customer"), sample_intent())
    await _append(clients, other.id, "payment-captured")
    assert await payment.refunds_due() == []
    await _append(clients, order.id, "payment-captured")
    assert await payment.refunds_due() == [order.id]
    await clients("gateway").execute(CancelOrder(other.id, "operator"), sample_intent())
    assert await payment.refunds_due() == [order.id, other.id]
    await _append(clients, order.id, "payment-refund-in-progress")
    assert await payment.refunds_due() == [order.id, other.id]
    await _append(clients, order.id, "payment-refunded")
    assert await payment.refunds_due() == [other.id]
