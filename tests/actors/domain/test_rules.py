"""The guard table against an oracle written from the specification's own sentences."""

import re
from collections.abc import Callable

import msgspec
import pytest

from actors.domain.events import EVENT_TYPES, PaymentAuthFailed, PaymentCaptured
from actors.domain.order import (
    PAYMENT_STATUSES,
    SHIPPING_STATUSES,
    STATUSES,
    Order,
    fold,
    payment_status,
    shipping_status,
    status,
)
from actors.domain.rules import (
    ACTIONS,
    GUARDS,
    SENTENCES,
    allowed_actions,
    decide,
    refusal,
)
from runtime.errors import Rejection
from tests.harness.orders import SAMPLES, TOTAL, sample_event, sample_order

# "accepted iff", sentence by sentence; `s` is the set of types in the stream.
ORACLE: dict[str, Callable[[frozenset[str]], bool]] = {
    "order-created": lambda s: not s,
    "payment-updated": lambda s: (
        "order-created" in s and not s & {"order-cancelled", "payment-auth-in-progress"}
    ),
    "shipping-address-updated": lambda s: (
        "order-created" in s and not s & {"order-cancelled", "shipping-preparation-in-progress"}
    ),
    "order-cancelled": lambda s: (
        "order-created" in s and not s & {"order-cancelled", "shipping-preparation-in-progress"}
    ),
    "payment-auth-in-progress": lambda s: (
        "order-created" in s and not s & {"order-cancelled", "payment-auth-in-progress"}
    ),
    "payment-captured": lambda s: (
        "payment-auth-in-progress" in s and not s & {"payment-captured", "payment-auth-failed"}
    ),
    "payment-auth-failed": lambda s: (
        "payment-auth-in-progress" in s and not s & {"payment-captured", "payment-auth-failed"}
    ),
    "shipping-preparation-in-progress": lambda s: (
        "payment-captured" in s and not s & {"order-cancelled", "shipping-preparation-in-progress"}
    ),
    "shipping-prepared": lambda s: (
        "shipping-preparation-in-progress" in s and "shipping-prepared" not in s
    ),
    "shipped": lambda s: "shipping-prepared" in s and "shipped" not in s,
    "payment-refund-in-progress": lambda s: (
        {"order-cancelled", "payment-captured"} <= s and "payment-refund-in-progress" not in s
    ),
    "payment-refunded": lambda s: "payment-refund-in-progress" in s and "payment-refunded" not in s,
}


def _accepts(order: Order | None, event_type: str) -> bool:
    try:
        decide(order, SAMPLES[event_type])
    except Rejection:
        return False
    return True


def _reachable() -> dict[frozenset[str], Order | None]:
    """Every set of event types that the table lets a stream hold, with one order that has it."""
    found: dict[frozenset[str], Order | None] = {frozenset(): None}
    waiting: list[frozenset[str]] = [frozenset()]
    while waiting:
        types = waiting.pop(0)
        order = found[types]
        for event_type, body in SAMPLES.items():
            after = types | {event_type}
            if after not in found and _accepts(order, event_type):
                found[after] = fold(order, sample_event(order, body))
                waiting.append(after)
    return found


REACHABLE = _reachable()


def test_the_oracle_the_table_and_the_samples_speak_of_the_same_twelve_events() -> None:
    assert len(EVENT_TYPES) == 12
    assert set(ORACLE) == set(GUARDS) == set(SAMPLES) == set(EVENT_TYPES)


def test_every_event_is_reachable_and_the_states_are_many() -> None:
    assert frozenset.union(*REACHABLE) == set(EVENT_TYPES)
    assert len(REACHABLE) == 53  # counted by hand: 1 + 32 + 8 refunds + 12 shipments


@pytest.mark.parametrize("event_type", GUARDS)
def test_the_table_accepts_exactly_what_the_specification_accepts(event_type: str) -> None:
    for types, order in REACHABLE.items():
        assert _accepts(order, event_type) == ORACLE[event_type](types), sorted(types)


@pytest.mark.parametrize("event_type", GUARDS)
def test_the_table_agrees_with_the_specification_on_unreachable_states_too(
    event_type: str,
) -> None:
    """A store that a bug damaged must not turn a refusal into an acceptance."""
    others = [name for name in EVENT_TYPES if name != "order-created"]
    for chosen in range(2 ** len(others)):
        types = [name for bit, name in enumerate(others) if chosen >> bit & 1]
        order = sample_order(*types)
        expected = ORACLE[event_type](frozenset({"order-created", *types}))
        if event_type == "shipped" and "order-cancelled" in types:
            expected = False
        assert _accepts(order, event_type) == expected, types


@pytest.mark.parametrize("event_type", GUARDS)
def test_a_refusal_names_its_rule_and_the_blocking_event(event_type: str) -> None:
    for types, order in REACHABLE.items():
        refused = refusal(order, event_type)
        if refused is None:
            continue
        code, blocker = refused
        assert code in SENTENCES
        with pytest.raises(Rejection) as caught:
            decide(order, SAMPLES[event_type])
        assert (caught.value.code, caught.value.message) == (code, SENTENCES[code])
        assert caught.value.status_hint == (404 if code == "not-found" else 409)
        details = caught.value.details
        assert details["refused_event"] == event_type
        if order is None:
            assert "order_id" not in details
        elif blocker is not None:
            assert blocker in types
            assert details["blocking_event"] == {
                "id": order.happened[blocker].event_id,
                "type": blocker,
                "version": order.happened[blocker].version,
                "at_ms": order.happened[blocker].at_ms,
            }
            assert msgspec.json.encode(details)


def test_never_both_cancelled_and_in_preparation() -> None:
    for types in REACHABLE:
        assert not {"order-cancelled", "shipping-preparation-in-progress"} <= types


def test_a_capture_after_a_cancel_is_recorded_and_owes_a_refund() -> None:
    order = sample_order("payment-auth-in-progress", "order-cancelled")
    assert _accepts(order, "payment-captured")
    order = sample_order("payment-auth-in-progress", "order-cancelled", "payment-captured")
    assert order.refund_due
    assert not order.settled


@pytest.mark.parametrize(
    "body", [PaymentCaptured(2, "ch_2", TOTAL, 2), PaymentAuthFailed(2, "card_declined")]
)
def test_a_payment_fact_of_another_attempt_is_refused(
    body: PaymentCaptured | PaymentAuthFailed,
) -> None:
    with pytest.raises(Rejection) as caught:
        decide(sample_order("payment-auth-in-progress"), body)
    assert caught.value.code == "transition-refused"


@pytest.mark.parametrize(
    ("stream", "event_type", "code"),
    [
        (["payment-auth-in-progress"], "payment-updated", "payment-locked"),
        (["order-cancelled"], "payment-updated", "order-cancelled"),
        (["shipping-preparation-in-progress"], "shipping-address-updated", "shipping-locked"),
        (["shipping-preparation-in-progress"], "order-cancelled", "cancellation-locked"),
        (["order-cancelled"], "order-cancelled", "order-already-cancelled"),
        ([], "shipped", "not-prepared"),
        (["shipping-prepared", "shipped"], "shipped", "already-shipped"),
        (["order-cancelled"], "shipped", "order-cancelled"),
    ],
)
def test_customers_meet_the_documented_codes(stream: list[str], event_type: str, code: str) -> None:
    refused = refusal(sample_order(*stream), event_type)
    assert refused is not None
    assert refused[0] == code


def test_an_unknown_order_is_not_found_except_for_the_event_that_creates_it() -> None:
    for event_type in GUARDS:
        expected = None if event_type == "order-created" else ("not-found", None)
        assert refusal(None, event_type) == expected


def test_the_allowed_actions_are_what_the_guards_would_say() -> None:
    for types, order in REACHABLE.items():
        if order is None:
            continue
        for action, answer in allowed_actions(order).items():
            assert answer["allowed"] == ORACLE[ACTIONS[action]](types)
            if not answer["allowed"]:
                assert re.fullmatch("evt_[0-9]+", str(answer["since"]))
                assert answer["reason"] in SENTENCES


def test_statuses_are_total_and_of_the_documented_words() -> None:
    for order in REACHABLE.values():
        if order is not None:
            assert status(order) in dict(STATUSES)
            assert payment_status(order) in dict(PAYMENT_STATUSES)
            assert shipping_status(order) in dict(SHIPPING_STATUSES)


def test_every_status_is_reached_by_some_order() -> None:
    orders = [order for order in REACHABLE.values() if order is not None]
    assert {status(order) for order in orders} == set(dict(STATUSES))
    assert {payment_status(order) for order in orders} == set(dict(PAYMENT_STATUSES))
    assert {shipping_status(order) for order in orders} == set(dict(SHIPPING_STATUSES))


def test_an_order_is_settled_exactly_where_nothing_can_follow() -> None:
    """After a decline an order is not settled: its shopper may still cancel it."""
    for types, order in REACHABLE.items():
        if order is not None:
            possible = [name for name in GUARDS if ORACLE[name](types)]
            assert order.settled == (not possible), (sorted(types), possible)
