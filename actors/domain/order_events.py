"""What every service may ask of order-events, however it is reached.

One protocol, two implementations (an in-process ask, and HTTP), one contract suite. A client object
is made for one service: what it may append and which personal data it may read follows from that.

A customer's command is idempotent by its key: the *domain outcome* is stored in the transaction of
the append, so the same key and body give the same answer for ever; the same key with another body
is refused (``idempotency-key-reused``).
"""

from typing import Annotated, Literal, Protocol

import msgspec

from actors.domain.events import Body, Event, Reason
from actors.domain.order import Order
from actors.domain.values import Address, Customer, Line, PaymentMethod, tidy_free_text

Service = Literal["gateway", "payment", "shipping", "notification"]
PersonalKind = Literal["customer", "address", "payment"]
# What AMQP can carry as a short string (255 bytes), with room to spare, in visible ASCII.
CorrelationId = Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$(?!\n)")]
_TRACESTATE = r"^[ -~]{1,512}$(?!\n)"
_TRACEPARENT = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$(?!\n)"


class PaymentDetails(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A tokenised card on its way into the vault; the number itself never gets here."""

    token: Annotated[str, msgspec.Meta(pattern=r"^pm_[A-Za-z0-9_]{1,64}$(?!\n)")]
    brand: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9 _-]{1,32}$(?!\n)")]
    last4: Annotated[str, msgspec.Meta(pattern=r"^[0-9]{4}$(?!\n)")]


class PlaceOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="place-order"):
    """Create an order; prices were taken from the catalogue, one line for each SKU."""

    customer: Customer
    items: Annotated[tuple[Line, ...], msgspec.Meta(min_length=1, max_length=50)]
    shipping_address: Address
    payment: PaymentDetails

    def __post_init__(self) -> None:
        if len({line.sku for line in self.items}) < len(self.items):
            raise ValueError("`items` must hold one line for each `sku`")
        if len({line.unit_price.currency for line in self.items}) > 1:
            raise ValueError("`items` must be priced in one currency")


class UpdatePayment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="update-payment"):
    """Pay with another card."""

    order_id: str
    payment: PaymentDetails


class UpdateShippingAddress(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="update-shipping-address"
):
    """Ship to another address."""

    order_id: str
    shipping_address: Address


class CancelOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cancel-order"):
    """Call the order off; ``by`` is customer or operator."""

    order_id: str
    by: Literal["customer", "operator"]
    reason: Reason | None = None

    def __post_init__(self) -> None:
        if self.reason is not None:
            tidied = tidy_free_text("reason", self.reason)
            msgspec.structs.force_setattr(self, "reason", tidied)


Command = PlaceOrder | UpdatePayment | UpdateShippingAddress | CancelOrder


class Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who asks, and how a repetition is recognised.

    ``fingerprint`` is an HMAC of the decoded request body; it is present iff ``key`` is.
    ``expected_version`` comes from If-Match: a different version is refused (``version-mismatch``).
    ``traceparent`` and ``tracestate`` (W3C Trace Context) travel with the events and messages that
    follow.
    """

    principal: str
    route: str
    correlation_id: CorrelationId
    key: Annotated[str, msgspec.Meta(min_length=1, max_length=255)] | None = None
    fingerprint: str | None = None
    expected_version: int | None = None
    traceparent: Annotated[str, msgspec.Meta(pattern=_TRACEPARENT)] | None = None
    tracestate: Annotated[str, msgspec.Meta(pattern=_TRACESTATE)] | None = None


class Receipt(msgspec.Struct, frozen=True):
    """An accepted command: the order as it was right after it, and whether this is a replay."""

    order: Order
    replayed: bool


class Recorded(msgspec.Struct, frozen=True, gc=False):
    """An appended event; ``replayed`` where the same event was already there."""

    event: Event
    replayed: bool


class Personal(msgspec.Struct, frozen=True, omit_defaults=True):
    """What vault references stand for; all None once the order was erased."""

    customer: Customer | None = None
    address: Address | None = None
    payment_token: str | None = None


class OrderWith(msgspec.Struct, frozen=True):
    """An order, and what some of the references stand for that it has in this state."""

    order: Order
    personal: Personal


class OrderSummary(msgspec.Struct, frozen=True):
    """One row of the order list."""

    id: str
    number: int
    status: str
    version: int
    total_amount: int
    currency: str
    created_at_ms: int
    updated_at_ms: int


class OrderQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Filters of the order list, newest first; ``before`` is a number to page on from."""

    status: str | None = None
    email: str | None = None
    since_ms: int | None = None
    before: int | None = None
    limit: int = 50


class OrderEvents(Protocol):
    """The Order Event Service: `Rejection` means no, `Unavailable` that it cannot answer now."""

    async def execute(self, command: Command, intent: Intent) -> Receipt:
        """Carry out a customer's command, or raise a `Rejection`."""
        ...

    async def replay(self, intent: Intent) -> Receipt | None:
        """Return what `execute` answered to this intent before; None where it never decided it.

        A refusal is raised as it was then, with ``replayed`` in its details, and so is
        ``idempotency-key-reused``. Commands that were handed over earlier are decided first.
        """
        ...

    async def append(
        self,
        order_id: str,
        event_id: str,
        body: Body,
        *,
        correlation_id: str,
        expected_version: int | None = None,
    ) -> Recorded:
        """Append a service's event. The same id and body again return the original."""
        ...

    async def order(
        self, order_id: str, *, at_version: int | None = None, at_ms: int | None = None
    ) -> Order:
        """Fold the order from committed events, optionally as it was; Rejection(not-found)."""
        ...

    async def events(
        self, order_id: str, *, after: int = 0, limit: int = 100, wait_s: float = 0.0
    ) -> list[Event]:
        """Return events after a version; with ``wait_s`` wait that long for the first one."""
        ...

    async def personal(self, order_id: str, *refs: str) -> Personal:
        """Read vault entries that this client's service is entitled to; Rejection(forbidden)."""
        ...

    async def order_with(
        self, order_id: str, *kinds: PersonalKind, at_version: int | None = None
    ) -> OrderWith:
        """Do `order`, and then `personal` for what it refers to, at once."""
        ...

    async def orders(self, query: OrderQuery) -> list[OrderSummary]:
        """Return at most ``limit`` rows of the order list."""
        ...

    async def refunds_due(self) -> list[str]:
        """Return the orders whose refund obligation is open, oldest first."""
        ...


def reference(order: Order, kind: PersonalKind) -> str:
    """Return what the order refers to as its customer, its address or its means of payment."""
    match kind:
        case "customer":
            return order.customer_ref
        case "address":
            return order.address_ref
        case "payment":
            return order.payment.ref


def payment_method(ref: str, details: PaymentDetails) -> PaymentMethod:
    """Return what events may say of these details."""
    return PaymentMethod(ref, details.brand, details.last4)
