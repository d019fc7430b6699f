"""The order: what its events add up to.

``fold(order, event)`` is the only way an `Order` changes. Every field is a pure function of the
events up to ``version``; statuses are read from the facts in ``happened``.
"""

from collections.abc import Iterable

import msgspec

from actors.domain.events import (
    Event,
    OrderCancelled,
    OrderCreated,
    PaymentAuthFailed,
    PaymentAuthInProgress,
    PaymentCaptured,
    PaymentRefunded,
    PaymentUpdated,
    Shipped,
    ShippingAddressUpdated,
    ShippingPrepared,
)
from actors.domain.values import Line, Money, PaymentMethod


class Happening(msgspec.Struct, frozen=True, gc=False):
    """When a kind of event last happened to this order."""

    event_id: str
    version: int
    at_ms: int


class Order(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The state of one order at ``version``. Personal data is behind the ``*_ref`` references."""

    id: str
    version: int
    number: int
    items: tuple[Line, ...]
    total: Money
    customer_ref: str
    address_ref: str
    payment: PaymentMethod
    correlation_id: str
    created_at_ms: int
    updated_at_ms: int
    happened: dict[str, Happening]
    attempt: int | None = None
    failure: str | None = None
    charge_id: str | None = None
    refund_id: str | None = None
    parcel_id: str | None = None
    carrier: str | None = None
    tracking: str | None = None
    cancel_reason: str | None = None

    def has(self, event_type: str) -> bool:
        """Whether an event of this type is in the stream."""
        return event_type in self.happened

    @property
    def cancelled(self) -> bool:
        """Whether the order was called off."""
        return self.has("order-cancelled")

    @property
    def captured(self) -> bool:
        """Whether the money was taken (it may have been refunded since)."""
        return self.has("payment-captured")

    @property
    def attempt_open(self) -> bool:
        """Whether a payment attempt began and has no known end."""
        return self.has("payment-auth-in-progress") and not (
            self.captured or self.has("payment-auth-failed")
        )

    @property
    def refund_due(self) -> bool:
        """The obligation: money was taken for a cancelled order and has not gone back."""
        return self.cancelled and self.captured and not self.has("payment-refunded")

    @property
    def settled(self) -> bool:
        """Whether nothing can happen to this order any more."""
        return self.has("shipped") or (
            self.cancelled and not self.refund_due and not self.attempt_open
        )


STATUSES = (
    ("cancelled", "order-cancelled"),
    ("shipped", "shipped"),
    ("prepared", "shipping-prepared"),
    ("preparing", "shipping-preparation-in-progress"),
    ("paid", "payment-captured"),
    ("payment_failed", "payment-auth-failed"),
    ("payment_pending", "payment-auth-in-progress"),
    ("placed", "order-created"),
)
PAYMENT_STATUSES = (
    ("refunded", "payment-refunded"),
    ("refunding", "payment-refund-in-progress"),
    ("captured", "payment-captured"),
    ("failed", "payment-auth-failed"),
    ("authorizing", "payment-auth-in-progress"),
    ("none", "order-created"),
)
SHIPPING_STATUSES = (
    ("shipped", "shipped"),
    ("prepared", "shipping-prepared"),
    ("preparing", "shipping-preparation-in-progress"),
    ("not_started", "order-created"),
)
STATUS_TABLES = {
    "status": STATUSES,
    "payment.status": PAYMENT_STATUSES,
    "shipping.status": SHIPPING_STATUSES,
}
"""Of an order, by the name in its JSON: the first row whose event has happened says the status."""


def _first(table: tuple[tuple[str, str], ...], order: Order) -> str:
    happened = order.happened
    for status, event_type in table:
        if event_type in happened:
            return status
    raise AssertionError(f"{order.id} was never created")


def status(order: Order) -> str:
    """Return the order's status: the first row of `STATUSES` whose event has happened."""
    return _first(STATUSES, order)


def payment_status(order: Order) -> str:
    """Return the payment's status, by `PAYMENT_STATUSES`."""
    return _first(PAYMENT_STATUSES, order)


def shipping_status(order: Order) -> str:
    """Return the shipment's status, by `SHIPPING_STATUSES`."""
    return _first(SHIPPING_STATUSES, order)


def fold(order: Order | None, event: Event) -> Order:
    """Return the order after the event; versions must follow one another."""
    body = event.body
    if order is None:
        assert isinstance(body, OrderCreated), f"{event.id}: a stream begins with order-created"
        assert event.version == 1, f"{event.id}: a stream begins at version 1"
        return _created(event, body)
    assert event.version == order.version + 1, f"{event.id}: version {event.version} after a gap"
    happening = Happening(event.id, event.version, event.recorded_at_ms)
    return msgspec.structs.replace(
        order,
        version=event.version,
        updated_at_ms=event.recorded_at_ms,
        happened={**order.happened, event.type.name: happening},
        **_changes(event),
    )


def _created(event: Event, body: OrderCreated) -> Order:
    return Order(
        id=event.order_id,
        version=1,
        number=body.number,
        items=body.items,
        total=body.total,
        customer_ref=body.customer_ref,
        address_ref=body.address_ref,
        payment=body.payment,
        correlation_id=event.order_correlation,
        created_at_ms=event.recorded_at_ms,
        updated_at_ms=event.recorded_at_ms,
        happened={event.type.name: Happening(event.id, 1, event.recorded_at_ms)},
    )


def _changes(event: Event) -> dict[str, object]:
    match event.body:
        case PaymentUpdated(payment=payment):
            return {"payment": payment}
        case ShippingAddressUpdated(address_ref=ref):
            return {"address_ref": ref}
        case OrderCancelled(reason=reason):
            return {"cancel_reason": reason}
        case PaymentAuthInProgress(attempt=attempt):
            return {"attempt": attempt}
        case PaymentCaptured(charge_id=charge_id):
            return {"charge_id": charge_id}
        case PaymentAuthFailed(reason=reason):
            return {"failure": reason}
        case PaymentRefunded(refund_id=refund_id):
            return {"refund_id": refund_id}
        case ShippingPrepared(parcel_id=parcel_id):
            return {"parcel_id": parcel_id}
        case Shipped(carrier=carrier, tracking=tracking):
            return {"carrier": carrier, "tracking": tracking}
        case _:
            return {}


def fold_all(events: Iterable[Event]) -> Order | None:
    """Return the order after all the events, or None for no event."""
    order: Order | None = None
    for event in events:
        order = fold(order, event)
    return order
