"""What every implementation of `OrderEvents` does, however it reaches the service: writing."""

from collections.abc import Awaitable
from typing import get_args

import anyio
import msgspec
import pytest

from actors.domain.events import EVENT_TYPES, Body, PaymentCaptured, Shipped
from actors.domain.order import status
from actors.domain.order_events import (
    CancelOrder,
    OrderQuery,
    PaymentDetails,
    Receipt,
    Service,
    UpdatePayment,
    UpdateShippingAddress,
)
from runtime.errors import Rejection, Unprocessable
from tests.harness.order_events import (
    sample_intent,
)
from tests.harness.order_events_clients import PAID, PREPARED, Clients, append, placed, refused
from tests.harness.orders import SAMPLES, TOTAL, sample_address, sample_placing

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
    order = await placed(clients)
    card = PaymentDetails("pm_card_declined", "visa", "0002")
    paid = await clients("gateway").execute(UpdatePayment(order.id, card), sample_intent())
    events = await clients("gateway").events(order.id)
    made = [order.id, order.customer_ref, order.address_ref, order.payment.ref, events[0].id]
    made += [paid.order.payment.ref, events[1].id]
    assert [id_[:4] for id_ in made] == ["ord_", "cus_", "adr_", "pay_", "evt_", "pay_", "evt_"]
    assert len(set(made)) == len(made)


async def test_a_command_leads_to_the_next_version(clients: Clients) -> None:
    order = await placed(clients)
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
    refusal = await refused(
        gateway.execute(sample_placing(), sample_intent("k", fingerprint="other"))
    )
    assert (refusal.code, refusal.status_hint) == ("idempotency-key-reused", 422)


async def test_another_if_match_under_the_same_key_is_refused(clients: Clients) -> None:
    order = await placed(clients)
    cancel = CancelOrder(order.id, "customer")
    gateway = clients("gateway")
    await refused(gateway.execute(cancel, sample_intent("k", expected_version=7)))
    refusal = await refused(gateway.execute(cancel, sample_intent("k", expected_version=1)))
    assert refusal.code == "idempotency-key-reused"


async def test_a_replay_is_the_first_answer_and_carries_nothing_out(clients: Clients) -> None:
    gateway = clients("gateway")
    assert await gateway.replay(sample_intent("k")) is None
    assert await gateway.replay(sample_intent()) is None
    assert await gateway.orders(OrderQuery()) == []
    first = await gateway.execute(sample_placing(), sample_intent("k"))
    await append(clients, first.order.id, "payment-auth-in-progress")
    again = await gateway.replay(sample_intent("k", correlation_id="req_2"))
    assert again == msgspec.structs.replace(first, replayed=True)
    for other in ({"fingerprint": "other"}, {"expected_version": 1}):
        refusal = await refused(gateway.replay(sample_intent("k", **other)))
        assert (refusal.code, refusal.status_hint) == ("idempotency-key-reused", 422)
    for other in ({"principal": "operator"}, {"route": "POST /v1/other"}):
        assert await gateway.replay(sample_intent("k", **other)) is None


async def test_a_replayed_refusal_is_raised_as_it_was(clients: Clients) -> None:
    order = await placed(clients)
    await append(clients, order.id, "payment-auth-in-progress")
    gateway = clients("gateway")
    card = PaymentDetails("pm_card_declined", "visa", "0002")
    locked = await refused(gateway.execute(UpdatePayment(order.id, card), sample_intent("k")))
    again = await refused(gateway.replay(sample_intent("k")))
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
    refusal = await refused(clients(service).replay(sample_intent("k")))
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
    order = await placed(clients)
    gateway = clients("gateway")
    cancel = CancelOrder(order.id, "customer")
    early = await refused(gateway.execute(cancel, sample_intent("k", expected_version=2)))
    assert (early.code, early.status_hint) == ("version-mismatch", 412)
    await append(clients, order.id, "payment-auth-in-progress")
    again = await refused(gateway.execute(cancel, sample_intent("k", expected_version=2)))
    assert (again.code, again.status_hint, again.message) == (early.code, 412, early.message)
    assert again.details == {**early.details, "replayed": True}
    accepted = await gateway.execute(cancel, sample_intent("k2", expected_version=2))
    assert accepted.order.version == 3


async def test_a_guards_refusal_names_the_blocking_event(clients: Clients) -> None:
    order = await placed(clients)
    await append(clients, order.id, *PAID, "shipping-preparation-in-progress")
    command = CancelOrder(order.id, "customer")
    for key in ("k", "k", None):
        refusal = await refused(clients("gateway").execute(command, sample_intent(key)))
        assert (refusal.code, refusal.status_hint) == ("cancellation-locked", 409)
        blocking = refusal.details["blocking_event"]
        assert isinstance(blocking, dict)
        assert (blocking["type"], blocking["version"]) == ("shipping-preparation-in-progress", 4)
        assert refusal.details["order_status"] == "preparing"
    assert (await clients("gateway").order(order.id)).version == 4


async def test_what_was_never_decided_leaves_its_key_free(clients: Clients) -> None:
    gateway = clients("gateway")
    invalid = msgspec.structs.replace(sample_placing(), payment=PaymentDetails("4242", "visa", "1"))
    refusal = await refused(gateway.execute(invalid, sample_intent("k")))
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
        refusal = await refused(call)
        assert (refusal.code, refusal.status_hint) == ("not-found", 404)


@pytest.mark.parametrize("service", ["payment", "shipping", "notification"])
async def test_only_the_gateway_acts_for_customers(clients: Clients, service: Service) -> None:
    refusal = await refused(clients(service).execute(sample_placing(), sample_intent()))
    assert (refusal.code, refusal.status_hint) == ("forbidden", 403)


# Events of services


@pytest.mark.parametrize("event_type", EVENT_TYPES)
@pytest.mark.parametrize("service", get_args(Service))
async def test_a_service_appends_its_own_events_only(
    clients: Clients, service: Service, event_type: str
) -> None:
    order = await placed(clients)
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
    order = await placed(clients)
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
    order, other = await placed(clients), await placed(clients)
    payment = clients("payment")
    body = SAMPLES["payment-auth-in-progress"]
    await payment.append(order.id, "evt_a", body, correlation_id="msg_1")
    attempts: list[tuple[str, Body]] = [
        (other.id, body),
        (order.id, SAMPLES["payment-captured"]),
        (order.id, msgspec.structs.replace(body, attempt=2)),
    ]
    for order_id, changed in attempts:
        refusal = await refused(payment.append(order_id, "evt_a", changed, correlation_id="msg_1"))
        assert (refusal.code, refusal.status_hint) == ("event-id-conflict", 409)


async def test_an_append_is_guarded(clients: Clients) -> None:
    order = await placed(clients)
    refusal = await refused(
        clients("shipping").append(order.id, "evt_s", SAMPLES["shipped"], correlation_id="msg_1")
    )
    assert (refusal.code, refusal.status_hint) == ("not-prepared", 409)
    await append(clients, order.id, "payment-auth-in-progress")
    other_attempt = PaymentCaptured(2, "ch_2", TOTAL, 2)
    refusal = await refused(
        clients("payment").append(order.id, "evt_c", other_attempt, correlation_id="msg_1")
    )
    assert refusal.code == "transition-refused"


async def test_an_append_may_expect_a_version(clients: Clients) -> None:
    order = await placed(clients)
    body = SAMPLES["payment-auth-in-progress"]
    payment = clients("payment")
    refusal = await refused(
        payment.append(order.id, "evt_a", body, correlation_id="m", expected_version=2)
    )
    assert (refusal.code, refusal.status_hint) == ("version-conflict", 409)
    assert refusal.details["current_version"] == 1
    recorded = await payment.append(order.id, "evt_a", body, correlation_id="m", expected_version=1)
    assert recorded.event.version == 2


async def test_shipped_again_with_the_same_parcel_is_the_original(clients: Clients) -> None:
    order = await placed(clients)
    await append(clients, order.id, *PREPARED)
    shipping = clients("shipping")
    first = await shipping.append(order.id, "evt_1", SAMPLES["shipped"], correlation_id="req_7")
    again = await shipping.append(order.id, "evt_2", SAMPLES["shipped"], correlation_id="req_8")
    assert again == msgspec.structs.replace(first, replayed=True)
    refusal = await refused(
        shipping.append(order.id, "evt_3", Shipped("DHL", "OTHER"), correlation_id="req_9")
    )
    assert (refusal.code, refusal.status_hint) == ("already-shipped", 409)


async def test_a_body_that_could_not_be_read_again_is_not_written(clients: Clients) -> None:
    order = await placed(clients)
    await append(clients, order.id, *PREPARED)
    with pytest.raises(Unprocessable):
        await clients("shipping").append(
            order.id, "evt_1", Shipped("DHL", ""), correlation_id="req_1"
        )
    assert (await clients("gateway").order(order.id)).version == 5
