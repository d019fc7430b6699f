"""Sample orders: a plausible body of each event type, streams of them, a shopper's command."""

from actors.domain.events import (
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
from actors.domain.order import Order, fold
from actors.domain.order_events import PaymentDetails, PlaceOrder
from actors.domain.values import Address, Customer, Line, Money, PaymentMethod

LINES = (
    Line("MUG-1", "Mug", 2, Money(1450, "EUR")),
    Line("TEA-7", "Green tea", 1, Money(1990, "EUR")),
)
TOTAL = Money(4890, "EUR")

SAMPLES: dict[str, Body] = {
    "order-created": OrderCreated(
        1042, LINES, TOTAL, PaymentMethod("pay_1", "visa", "4242"), "cus_1", "adr_1"
    ),
    "order-cancelled": OrderCancelled("customer", "changed my mind"),
    "payment-updated": PaymentUpdated(PaymentMethod("pay_2", "visa", "0002")),
    "shipping-address-updated": ShippingAddressUpdated("adr_2"),
    "payment-auth-in-progress": PaymentAuthInProgress(1),
    "payment-captured": PaymentCaptured(1, "ch_1", TOTAL, 2),
    "payment-auth-failed": PaymentAuthFailed(1, "card_declined"),
    "payment-refund-in-progress": PaymentRefundInProgress(TOTAL),
    "payment-refunded": PaymentRefunded("re_1", TOTAL),
    "shipping-preparation-in-progress": ShippingPreparationInProgress(),
    "shipping-prepared": ShippingPrepared("par_1", 4),
    "shipped": Shipped("DHL", "JJD000390007"),
}


def sample_event(order: Order | None, body: Body) -> Event:
    """Return the event that would follow on this order, one second later."""
    version = 1 if order is None else order.version + 1
    return Event(
        id=f"evt_{version}",
        order_id="ord_1",
        version=version,
        body=body,
        correlation_id=f"req_{version}",
        order_correlation="req_1",
        recorded_at_ms=1_700_000_000_000 + version * 1000,
        position=version,
    )


def sample_order(*event_types: str) -> Order:
    """Return the order after ``order-created`` and these events, folded without any guard."""
    order = fold(None, sample_event(None, SAMPLES["order-created"]))
    for event_type in event_types:
        order = fold(order, sample_event(order, SAMPLES[event_type]))
    return order


def sample_placing(
    *,
    token: str = "pm_card_visa",
    last4: str = "4242",
    email: str = "ada@example.org",
) -> PlaceOrder:
    """Return a shopper's order of two mugs and a tea."""
    return PlaceOrder(
        customer=Customer("Ada Lovelace", email),
        items=LINES,
        shipping_address=sample_address(),
        payment=PaymentDetails(token, "visa", last4),
    )


def sample_address(line1: str = "12 St James's Square") -> Address:
    """Return a postal address."""
    return Address("Ada Lovelace", line1, "London", "SW1Y 4JH", "GB")
