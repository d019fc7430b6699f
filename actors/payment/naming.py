"""The names that make repetition harmless: the same deed always has the same name."""

from actors.domain.events import TYPE_OF_BODY, Body
from actors.payment.journal import CallKind
from runtime.host import Ids


def event_id(order_id: str, body: Body, attempt: int) -> str:
    """Return the id of this service's event: one for each order, type and attempt."""
    return Ids.derived("evt", order_id, TYPE_OF_BODY[type(body)].name, attempt)


def call_key(order_id: str, kind: CallKind, attempt: int) -> str:
    """Return the provider's idempotency key: one for each order, kind of call and attempt."""
    return f"{order_id}/{kind}/{attempt}"


def refund_key(order_id: str) -> str:
    """Return the idempotency key of the refund: there is only one of an order, ever."""
    return f"{order_id}/refund"
