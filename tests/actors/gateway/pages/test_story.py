"""An order in plain words, for every order there can be."""

import itertools

import pytest

from actors.domain.events import (
    TYPE_OF_BODY,
    Body,
    Event,
    OrderCancelled,
    OrderCreated,
    PaymentAuthFailed,
    PaymentAuthInProgress,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRefundInProgress,
    PaymentUpdated,
    Shipped,
    ShippingAddressUpdated,
    ShippingPreparationInProgress,
    ShippingPrepared,
)
from actors.domain.order import Order, fold, fold_all
from actors.domain.rules import allowed_actions, refusal
from actors.domain.values import Line, Money, PaymentMethod
from actors.gateway.context import Holds
from actors.gateway.pages import story

TOTAL = Money(2900, "EUR")
VISA = PaymentMethod("pay_1", "visa", "4242")
CREATED = OrderCreated(
    1001, (Line("MUG-1", "Mug", 2, Money(1450, "EUR")),), TOTAL, VISA, "cus_1", "adr_1"
)
BODIES: tuple[Body, ...] = (
    PaymentUpdated(PaymentMethod("pay_2", "visa", "0002")),
    ShippingAddressUpdated("adr_2"),
    OrderCancelled("customer", "changed my mind"),
    PaymentAuthInProgress(1),
    PaymentCaptured(1, "ch_1", TOTAL, 2),
    PaymentAuthFailed(1, "insufficient_funds"),
    ShippingPreparationInProgress(),
    ShippingPrepared("par_1", 4),
    Shipped("DHL", "JD1"),
    PaymentRefundInProgress(TOTAL),
    PaymentRefunded("re_1", TOTAL),
)


def event(version: int, body: Body) -> Event:
    return Event(
        id=f"evt_{version}",
        order_id="ord_1",
        version=version,
        body=body,
        correlation_id="req_1",
        order_correlation="cor_1",
        recorded_at_ms=version * 1000,
    )


def streams() -> list[list[Event]]:
    """Every history that the rules allow, changes of card and address at most once each."""
    found: list[list[Event]] = []
    waiting = [[event(1, CREATED)]]
    while waiting:
        events = waiting.pop()
        found.append(events)
        order = fold_all(events)
        assert order is not None
        for body in BODIES:
            name = TYPE_OF_BODY[type(body)].name
            if not order.has(name) and refusal(order, name) is None:
                waiting.append([*events, event(len(events) + 1, body)])
    return found


STREAMS = streams()


def order_of(events: list[Event]) -> Order:
    order: Order | None = None
    for each in events:
        order = fold(order, each)
    assert order is not None
    return order


def test_every_order_there_can_be_has_words_steps_and_three_actions() -> None:
    assert len(STREAMS) > 100
    for events in STREAMS:
        order = order_of(events)
        standing, steps = story.standing(order), story.steps(order)
        assert standing.headline.endswith(".")
        assert "None" not in f"{standing.headline} {standing.detail}"
        assert 2 <= len(steps) <= 4
        assert sum(step.progress == "current" for step in steps) <= 1
        assert [row.label for row in story.actions(order)] == list(story.LABELS.values())
        entries = story.timeline(events)
        assert [entry.event for entry in entries] == events
        assert all(entry.sentence and entry.actor for entry in entries)


def test_what_the_page_offers_is_what_the_rules_allow() -> None:
    for events in STREAMS:
        order = order_of(events)
        allowed = {name: row["allowed"] for name, row in allowed_actions(order).items()}
        assert {row.name: row.why is None for row in story.actions(order)} == allowed
        for row in story.actions(order):
            assert (row.why is None) == (row.since_ms is None)


def test_whoever_may_only_look_is_offered_nothing() -> None:
    for row in story.actions(order_of(STREAMS[0]), edit=False):
        assert row.why == story.READ_ONLY


@pytest.mark.parametrize(
    ("bodies", "headline", "progress"),
    [
        ((), "Thank you, we have your order.", "done current todo todo"),
        ((3,), "Your payment is on its way.", "done current todo todo"),
        ((3, 4), "Paid. We pack your parcel next.", "done done current todo"),
        ((3, 5), "The payment failed.", "done stopped todo todo"),
        ((3, 4, 6), "Paid. We are packing your parcel.", "done done current todo"),
        ((3, 4, 6, 7), "Your parcel is packed.", "done done done current"),
        ((3, 4, 6, 7, 8), "Your parcel is on its way.", "done done done done"),
        ((2,), "Cancelled.", "done stopped"),
        ((3, 2), "Cancelled.", "done stopped"),
        ((3, 4, 2), "Cancelled. Your refund is on its way.", "done done stopped current"),
        ((3, 4, 2, 9), "Cancelled. Your refund is on its way.", "done done stopped current"),
        ((3, 4, 2, 9, 10), "Cancelled, and refunded.", "done done stopped done"),
    ],
)
def test_where_an_order_stands(bodies: tuple[int, ...], headline: str, progress: str) -> None:
    events = [event(1, CREATED)]
    for version, place in enumerate(bodies, 2):
        events.append(event(version, BODIES[place]))
    order = order_of(events)
    assert story.standing(order).headline == headline
    assert " ".join(step.progress for step in story.steps(order)) == progress


def test_a_hold_is_counted_down_while_it_runs_and_only_then() -> None:
    holds = Holds(payment_s=5, shipping_s=3)
    placed = order_of([event(1, CREATED)])
    running = story.hold(placed, holds, now_ms=2000)
    assert running is not None
    assert running.until_ms == 6000
    assert story.hold(placed, holds, now_ms=6000) is None
    assert story.hold(placed, Holds(), now_ms=1000) is None
    paid = order_of([event(1, CREATED), event(2, BODIES[3]), event(3, BODIES[4])])
    packing = story.hold(paid, holds, now_ms=4000)
    assert packing is not None
    assert packing.until_ms == 6000


def test_what_happened_since_is_what_is_newer() -> None:
    entries = story.timeline(max(STREAMS, key=len))
    assert [entry.event.version for entry in story.since(entries, 2)] == [
        entry.event.version for entry in itertools.islice(entries, 2, None)
    ]
