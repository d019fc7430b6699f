"""Every fact that can happen to an order, and who may state it: one table.

A body holds references into the vault, never personal data; a body written by a service holds no
clock reading and no random value, so that writing it again gives the same bytes. Whether an event
is published, and where, is this table's word, not the caller's.
"""

from typing import Annotated, Literal

import msgspec

from actors.domain.values import Line, Money, PaymentMethod
from runtime.errors import Unprocessable

ORDER_EVENT_SERVICE = "order-event-service"
PAYMENT_SERVICE = "payment-service"
SHIPPING_SERVICE = "shipping-service"

Attempt = Annotated[int, msgspec.Meta(ge=1, le=10**6)]
_NO_CONTROLS = r"^[^\x00-\x1f\x7f-\x9f]*$(?!\n)"
Reason = Annotated[str, msgspec.Meta(max_length=200, pattern=_NO_CONTROLS)]
Carrier = Annotated[str, msgspec.Meta(min_length=1, max_length=40, pattern=_NO_CONTROLS)]
Tracking = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=_NO_CONTROLS)]


class OrderCreated(msgspec.Struct, frozen=True, gc=False):
    """A customer placed the order."""

    number: int
    items: tuple[Line, ...]
    total: Money
    payment: PaymentMethod
    customer_ref: str
    address_ref: str


class OrderCancelled(msgspec.Struct, frozen=True, omit_defaults=True):
    """The order was called off; ``by`` is the principal's kind (customer, operator)."""

    by: str
    reason: Reason | None = None


class PaymentUpdated(msgspec.Struct, frozen=True, gc=False):
    """The customer chose another card before payment began."""

    payment: PaymentMethod


class ShippingAddressUpdated(msgspec.Struct, frozen=True):
    """The customer chose another address before preparation began."""

    address_ref: str


class PaymentAuthInProgress(msgspec.Struct, frozen=True):
    """Lock: from here on the payment method cannot change."""

    attempt: Attempt


class PaymentCaptured(msgspec.Struct, frozen=True, gc=False):
    """The money was taken; ``payment_version`` is the version the method was folded at."""

    attempt: Attempt
    charge_id: str
    amount: Money
    payment_version: int


class PaymentAuthFailed(msgspec.Struct, frozen=True):
    """The attempt ended without a capture; ``reason`` is the decline code or order-cancelled."""

    attempt: Attempt
    reason: Reason


class PaymentRefundInProgress(msgspec.Struct, frozen=True):
    """A refund is owed and being attempted."""

    amount: Money


class PaymentRefunded(msgspec.Struct, frozen=True):
    """The money went back."""

    refund_id: str
    amount: Money


class ShippingPreparationInProgress(msgspec.Struct, frozen=True):
    """Lock: from here on neither the address can change nor the order be cancelled."""


class ShippingPrepared(msgspec.Struct, frozen=True):
    """The parcel is ready; ``address_version`` is the version the address was folded at."""

    parcel_id: str
    address_version: int


class Shipped(msgspec.Struct, frozen=True):
    """The carrier took the parcel."""

    carrier: Carrier
    tracking: Tracking


Body = (
    OrderCreated
    | OrderCancelled
    | PaymentUpdated
    | ShippingAddressUpdated
    | PaymentAuthInProgress
    | PaymentCaptured
    | PaymentAuthFailed
    | PaymentRefundInProgress
    | PaymentRefunded
    | ShippingPreparationInProgress
    | ShippingPrepared
    | Shipped
)
Exchange = Literal["orders", "payment", "shipping"]


class EventType(msgspec.Struct, frozen=True):
    """One row of the table: the body, who states it, and the exchange it is published to."""

    name: str
    body: type[Body]
    app_id: str
    exchange: Exchange | None = None
    schema_version: int = 1

    @property
    def routing_key(self) -> str:
        """``<category>.<event>``, such as ``orders.order-created``."""
        return f"{self.exchange}.{self.name}"

    @property
    def message_type(self) -> str:
        """The AMQP ``type`` property, such as ``order-created/v1``."""
        return f"{self.name}/v{self.schema_version}"


_TABLE = (
    EventType("order-created", OrderCreated, ORDER_EVENT_SERVICE, "orders"),
    EventType("order-cancelled", OrderCancelled, ORDER_EVENT_SERVICE, "orders"),
    EventType("payment-updated", PaymentUpdated, ORDER_EVENT_SERVICE),
    EventType("shipping-address-updated", ShippingAddressUpdated, ORDER_EVENT_SERVICE),
    EventType("payment-auth-in-progress", PaymentAuthInProgress, PAYMENT_SERVICE),
    EventType("payment-captured", PaymentCaptured, PAYMENT_SERVICE, "payment"),
    EventType("payment-auth-failed", PaymentAuthFailed, PAYMENT_SERVICE, "payment"),
    EventType("payment-refund-in-progress", PaymentRefundInProgress, PAYMENT_SERVICE),
    EventType("payment-refunded", PaymentRefunded, PAYMENT_SERVICE),
    EventType("shipping-preparation-in-progress", ShippingPreparationInProgress, SHIPPING_SERVICE),
    EventType("shipping-prepared", ShippingPrepared, SHIPPING_SERVICE),
    EventType("shipped", Shipped, SHIPPING_SERVICE, "shipping"),
)
EVENT_TYPES: dict[str, EventType] = {row.name: row for row in _TABLE}
APPS: tuple[str, ...] = tuple(dict.fromkeys(row.app_id for row in _TABLE))
TYPE_OF_BODY: dict[type[Body], EventType] = {row.body: row for row in _TABLE}


class Event(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One stored fact; ``recorded_at_ms`` is Unix time in milliseconds, ascending in a stream."""

    id: str
    order_id: str
    version: int
    body: Body
    correlation_id: str
    order_correlation: str
    recorded_at_ms: int
    position: int = 0

    @property
    def type(self) -> EventType:
        """The table row of this event's body."""
        return TYPE_OF_BODY[type(self.body)]


class EventMessage(msgspec.Struct, frozen=True):
    """The body of a published message: the order, its version, and the event's own body."""

    order_id: str
    version: int
    data: msgspec.Raw


_DECODERS = {row.name: msgspec.json.Decoder(row.body) for row in _TABLE}
_MESSAGE = msgspec.json.Decoder(EventMessage)
_encode = msgspec.json.Encoder(order="deterministic").encode


def encode_body(body: Body) -> bytes:
    """Return the JSON of a body: the same bytes for equal bodies."""
    return _encode(body)


def decode_body(name: str, schema_version: int, data: bytes | msgspec.Raw) -> Body:
    """Read a stored or published body; `Unprocessable` for unknown types, versions and bad JSON."""
    row = EVENT_TYPES.get(name)
    if row is None or schema_version != row.schema_version:
        raise Unprocessable("unknown-version", f"no reader for {name}/v{schema_version}")
    try:
        return _DECODERS[name].decode(data)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unprocessable("malformed", f"the body of {name} cannot be decoded") from error


def encode_message(order_id: str, version: int, data: bytes) -> bytes:
    """Return the body of the message that publishes this event."""
    return _encode(EventMessage(order_id, version, msgspec.Raw(data)))


def decode_message(body: bytes) -> EventMessage:
    """Read a message's body; `Unprocessable` (malformed) where it is not one."""
    try:
        return _MESSAGE.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Unprocessable("malformed", "the message body is not an event message") from error
