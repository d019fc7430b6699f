"""What the API answers: the structs that go over the wire, and how an order is rendered.

Rendering is a pure function of the order and the vault entries it refers to: the same order gives
the same bytes, which is what makes a replayed answer equal to the first one. Clients must ignore
fields that they do not know.
"""

import msgspec

from actors.domain.cards import TestCard
from actors.domain.event_json import EventJson, rfc3339
from actors.domain.order import Order, payment_status, shipping_status, status
from actors.domain.order_events import OrderSummary
from actors.domain.rules import allowed_actions
from actors.domain.values import Address, Customer, Line, Money


class Method(msgspec.Struct, frozen=True):
    """The card, as far as anybody may see it."""

    brand: str
    last4: str


class PaymentReply(msgspec.Struct, frozen=True):
    """Where payment stands; ``failure`` is the decline code."""

    status: str
    method: Method
    failure: str | None


class ShippingReply(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where shipping stands; ``address`` is null once the order's personal data was erased."""

    status: str
    address: Address | None
    carrier: str | None = None
    tracking: str | None = None


class ActionReply(msgspec.Struct, frozen=True, omit_defaults=True):
    """Whether an action is allowed; else why not (a problem's slug) and since which event."""

    allowed: bool
    reason: str | None = None
    since: str | None = None


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """Where to go from here."""

    here: str = msgspec.field(name="self")
    events: str
    stream: str


class OrderReply(msgspec.Struct, frozen=True, kw_only=True):
    """One order at ``version``, which is also its ETag. Times are RFC 3339, UTC."""

    id: str
    number: int
    version: int
    status: str
    payment: PaymentReply
    shipping: ShippingReply
    items: tuple[Line, ...]
    total: Money
    email: str | None
    allowed_actions: dict[str, ActionReply]
    links: Links
    created_at: str
    updated_at: str


class PlacedReply(OrderReply, frozen=True, kw_only=True):
    """A new order, and the token that reads and changes it."""

    access_token: str


class EventsReply(msgspec.Struct, frozen=True):
    """A page of an order's history, oldest first; go on with ``after`` = the last version."""

    data: list[EventJson]


class SummaryReply(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the order list."""

    id: str
    number: int
    version: int
    status: str
    total: Money
    created_at: str
    updated_at: str
    links: Links


class OrdersReply(msgspec.Struct, frozen=True):
    """A page of the order list, newest first."""

    data: list[SummaryReply]
    next_cursor: str | None
    has_more: bool


class TestCardReply(msgspec.Struct, frozen=True):
    """One behaviour of the sandbox; those without a number are chosen by their token."""

    token: str
    number: str | None
    brand: str
    last4: str
    effect: str


class TestCardsReply(msgspec.Struct, frozen=True):
    """All test cards: any future expiry date and any CVC will do."""

    data: list[TestCardReply]


class ProblemReply(msgspec.Struct, frozen=True, kw_only=True):
    """A problem type: what it means, when it occurs, what to do, whether repeating may help."""

    slug: str
    status: int
    title: str
    meaning: str
    when: str
    todo: str
    retry: bool
    example: dict[str, str | int]


class HealthReply(msgspec.Struct, frozen=True):
    """The process is alive."""

    status: str


class ReadyReply(msgspec.Struct, frozen=True):
    """Whether the system can serve: each check says ok, or what is wrong."""

    checks: dict[str, str]


def masked_email(email: str) -> str:
    """Return an address that its owner recognises and nobody else can use.

    >>> masked_email("ada@example.org")
    'a***@example.org'
    """
    name, _, domain = email.rpartition("@")
    return f"{name[:1]}***@{domain}"


def order_path(order_id: str) -> str:
    """Return the path of an order's resource."""
    return f"/v1/orders/{order_id}"


def _links(order_id: str) -> Links:
    path = order_path(order_id)
    return Links(here=path, events=f"{path}/events", stream=f"{path}/events/stream")


def order_reply(order: Order, customer: Customer | None, address: Address | None) -> OrderReply:
    """Render an order; the customer and the address are None once they were erased."""
    return OrderReply(
        id=order.id,
        number=order.number,
        version=order.version,
        status=status(order),
        payment=PaymentReply(
            payment_status(order), Method(order.payment.brand, order.payment.last4), order.failure
        ),
        shipping=ShippingReply(
            status=shipping_status(order),
            address=address,
            carrier=order.carrier,
            tracking=order.tracking,
        ),
        items=order.items,
        total=order.total,
        email=masked_email(customer.email) if customer else None,
        allowed_actions={
            action: msgspec.convert(state, ActionReply)
            for action, state in allowed_actions(order).items()
        },
        links=_links(order.id),
        created_at=rfc3339(order.created_at_ms),
        updated_at=rfc3339(order.updated_at_ms),
    )


def placed_reply(reply: OrderReply, access_token: str) -> PlacedReply:
    """Add the access token to a new order's rendering."""
    return PlacedReply(**msgspec.structs.asdict(reply), access_token=access_token)


def summary_reply(row: OrderSummary) -> SummaryReply:
    """Render a row of the order list."""
    return SummaryReply(
        id=row.id,
        number=row.number,
        version=row.version,
        status=row.status,
        total=Money(row.total_amount, row.currency),
        created_at=rfc3339(row.created_at_ms),
        updated_at=rfc3339(row.updated_at_ms),
        links=_links(row.id),
    )


def card_reply(card: TestCard) -> TestCardReply:
    """Render a test card."""
    return TestCardReply(card.token, card.number, card.brand, card.last4, card.effect)
