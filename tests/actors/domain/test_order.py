"""The fold: any stream of accepted events gives an order, version by version."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.domain.events import Event
from actors.domain.order import (
    Order,
    fold,
    fold_all,
    payment_status,
    shipping_status,
    status,
)
from actors.domain.rules import GUARDS, decide, refusal
from actors.domain.values import PaymentMethod
from runtime.errors import Rejection
from tests.harness.orders import SAMPLES, sample_event, sample_order


@st.composite
def _streams(draw: st.DrawFn) -> list[Event]:
    """A stream as the service would have written it: each event drawn from the accepted ones."""
    events: list[Event] = []
    order: Order | None = None
    for _ in range(draw(st.integers(1, 14))):
        accepted = [name for name in GUARDS if refusal(order, name) is None]
        if not accepted:
            break
        body = SAMPLES[draw(st.sampled_from(accepted))]
        decide(order, body)
        events.append(sample_event(order, body))
        order = fold(order, events[-1])
    return events


@given(_streams())
def test_any_accepted_stream_folds_without_a_gap(stream: list[Event]) -> None:
    order = fold_all(stream)
    assert order is not None
    assert order.version == len(stream)
    assert order.updated_at_ms == stream[-1].recorded_at_ms
    assert order.created_at_ms == stream[0].recorded_at_ms
    assert set(order.happened) == {event.type.name for event in stream}
    for event in stream:
        latest = max(e.version for e in stream if e.type == event.type)
        assert order.happened[event.type.name].version == latest
    assert all((status(order), payment_status(order), shipping_status(order)))


@given(_streams(), st.data())
def test_folding_in_two_steps_is_folding_at_once(stream: list[Event], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(stream)))
    order = fold_all(stream[:cut])
    for event in stream[cut:]:
        order = fold(order, event)
    assert order == fold_all(stream)


@given(_streams())
@settings(max_examples=50)
def test_locks_hold_for_the_rest_of_the_stream(stream: list[Event]) -> None:
    names = [event.type.name for event in stream]
    for lock, locked in (
        ("payment-auth-in-progress", ["payment-updated"]),
        ("shipping-preparation-in-progress", ["shipping-address-updated", "order-cancelled"]),
        ("order-cancelled", ["payment-updated", "shipping-address-updated", "shipped"]),
    ):
        if lock in names:
            assert not set(locked) & set(names[names.index(lock) + 1 :])


@given(_streams())
def test_money_moves_at_most_once_each_way(stream: list[Event]) -> None:
    names = [event.type.name for event in stream]
    for once in set(GUARDS) - {"payment-updated", "shipping-address-updated"}:
        assert names.count(once) <= 1
    if "payment-refunded" in names:
        assert {"order-cancelled", "payment-captured"} <= set(names)


def test_nothing_folds_to_nothing() -> None:
    assert fold_all([]) is None


def test_a_gap_or_a_repetition_is_a_bug() -> None:
    order = sample_order()
    skipped = sample_event(sample_order("payment-updated"), SAMPLES["order-cancelled"])
    with pytest.raises(AssertionError, match="after a gap"):
        fold(order, skipped)
    with pytest.raises(AssertionError, match="after a gap"):
        fold(order, sample_event(None, SAMPLES["order-created"]))


def test_a_stream_begins_with_its_creation() -> None:
    with pytest.raises(AssertionError, match="begins with order-created"):
        fold(None, sample_event(None, SAMPLES["shipped"]))
    late = sample_event(sample_order(), SAMPLES["order-created"])
    with pytest.raises(AssertionError, match="begins at version 1"):
        fold(None, late)


def test_the_latest_method_and_address_count() -> None:
    order = sample_order("payment-updated", "shipping-address-updated")
    assert order.payment == PaymentMethod("pay_2", "visa", "0002")
    assert order.address_ref == "adr_2"


def test_what_services_reported_is_on_the_order() -> None:
    order = sample_order(
        "payment-auth-in-progress",
        "payment-captured",
        "shipping-preparation-in-progress",
        "shipping-prepared",
        "shipped",
    )
    assert (order.attempt, order.charge_id, order.parcel_id) == (1, "ch_1", "par_1")
    assert (order.carrier, order.tracking) == ("DHL", "JJD000390007")
    assert order.captured
    assert order.settled
    assert (status(order), payment_status(order), shipping_status(order)) == (
        "shipped",
        "captured",
        "shipped",
    )


def test_a_refund_is_owed_from_capture_and_cancel_until_the_money_went_back() -> None:
    paid = ["payment-auth-in-progress", "payment-captured"]
    assert not sample_order(*paid).refund_due
    assert sample_order(*paid, "order-cancelled").refund_due
    assert sample_order(*paid, "order-cancelled", "payment-refund-in-progress").refund_due
    refunded = sample_order(
        *paid, "order-cancelled", "payment-refund-in-progress", "payment-refunded"
    )
    assert not refunded.refund_due
    assert refunded.settled
    assert (refunded.refund_id, refunded.cancel_reason) == ("re_1", "changed my mind")


def test_an_attempt_is_open_until_it_has_an_end() -> None:
    assert not sample_order().attempt_open
    assert sample_order("payment-auth-in-progress").attempt_open
    assert not sample_order("payment-auth-in-progress", "payment-captured").attempt_open
    failed = sample_order("payment-auth-in-progress", "payment-auth-failed")
    assert not failed.attempt_open
    assert failed.failure == "card_declined"


def test_a_cancelled_order_with_an_open_attempt_is_not_settled() -> None:
    order = sample_order("payment-auth-in-progress", "order-cancelled")
    assert not order.settled
    assert sample_order("order-cancelled").settled


def test_a_second_attempt_is_not_foreseen() -> None:
    with pytest.raises(Rejection):
        decide(
            sample_order("payment-auth-in-progress", "payment-auth-failed"),
            SAMPLES["payment-auth-in-progress"],
        )
