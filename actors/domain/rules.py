"""The business rules: one table, and the code that interprets it.

A *decision* asks for something that may be refused (a customer's command, a lock). A *fact* reports
what already happened outside: it is only ever refused as out of order, never because of a later
decision - a capture that arrives after a cancel is recorded, and refunded. The guard runs in the
same transaction as the append.
"""

from typing import Literal

import msgspec

from actors.domain.events import TYPE_OF_BODY, Body, PaymentAuthFailed, PaymentCaptured
from actors.domain.order import Order, status
from runtime.errors import Rejection

CREATED = "order-created"
CANCELLED = "order-cancelled"
PAYMENT_LOCK = "payment-auth-in-progress"
SHIPPING_LOCK = "shipping-preparation-in-progress"


class Guard(msgspec.Struct, frozen=True):
    """Accepted iff every type in ``needs`` and no type in ``blocked_by`` is in the stream.

    ``blocked_by`` maps the blocking event to the refusal's code, in the order they are checked;
    ``too_early`` is the code when a needed event is missing.
    """

    kind: Literal["decision", "fact"]
    needs: tuple[str, ...]
    blocked_by: dict[str, str]
    too_early: str = "transition-refused"


REFUSED = "transition-refused"
GUARDS: dict[str, Guard] = {
    "order-created": Guard("decision", (), {CREATED: REFUSED}),
    "payment-updated": Guard(
        "decision", (CREATED,), {CANCELLED: "order-cancelled", PAYMENT_LOCK: "payment-locked"}
    ),
    "shipping-address-updated": Guard(
        "decision", (CREATED,), {CANCELLED: "order-cancelled", SHIPPING_LOCK: "shipping-locked"}
    ),
    "order-cancelled": Guard(
        "decision",
        (CREATED,),
        {CANCELLED: "order-already-cancelled", SHIPPING_LOCK: "cancellation-locked"},
    ),
    "payment-auth-in-progress": Guard(
        "decision", (CREATED,), {CANCELLED: "order-cancelled", PAYMENT_LOCK: REFUSED}
    ),
    "payment-captured": Guard(
        "fact", (PAYMENT_LOCK,), {"payment-captured": REFUSED, "payment-auth-failed": REFUSED}
    ),
    "payment-auth-failed": Guard(
        "fact", (PAYMENT_LOCK,), {"payment-captured": REFUSED, "payment-auth-failed": REFUSED}
    ),
    "shipping-preparation-in-progress": Guard(
        "decision",
        ("payment-captured",),
        {CANCELLED: "order-cancelled", SHIPPING_LOCK: REFUSED},
    ),
    "shipping-prepared": Guard("fact", (SHIPPING_LOCK,), {"shipping-prepared": REFUSED}),
    "shipped": Guard(
        "fact",
        ("shipping-prepared",),
        {CANCELLED: "order-cancelled", "shipped": "already-shipped"},
        "not-prepared",
    ),
    "payment-refund-in-progress": Guard(
        "decision", (CANCELLED, "payment-captured"), {"payment-refund-in-progress": REFUSED}
    ),
    "payment-refunded": Guard(
        "fact", ("payment-refund-in-progress",), {"payment-refunded": REFUSED}
    ),
}

SENTENCES = {
    "payment-locked": "Payment can no longer be changed: it has begun.",
    "shipping-locked": "The shipping address can no longer be changed: preparation has begun.",
    "cancellation-locked": "The order can no longer be cancelled: preparation has begun.",
    "order-already-cancelled": "The order is already cancelled.",
    "order-cancelled": "The order is cancelled.",
    "not-prepared": "The order is not ready to be shipped yet.",
    "already-shipped": "The order was already shipped with another carrier or tracking number.",
    "not-found": "There is no such order.",
    "transition-refused": "The order is not in a state that allows this event.",
}
ACTIONS = {
    "update_payment": "payment-updated",
    "update_shipping_address": "shipping-address-updated",
    "cancel": "order-cancelled",
}


def refusal(order: Order | None, event_type: str) -> tuple[str, str | None] | None:
    """Return (code, blocking event type) where the guard refuses the event, else None."""
    guard = GUARDS[event_type]
    if order is None:
        return ("not-found", None) if guard.needs else None
    happened = order.happened
    for blocker, code in guard.blocked_by.items():
        if blocker in happened:
            return code, blocker
    for needed in guard.needs:
        if needed not in happened:
            return guard.too_early, None
    return None


def decide(order: Order | None, body: Body) -> None:
    """Raise a `Rejection` that names the blocking event unless the event may be appended."""
    event_type = TYPE_OF_BODY[type(body)].name
    refused = refusal(order, event_type)
    if refused is not None:
        raise rejection(order, event_type, *refused)
    if isinstance(body, PaymentCaptured | PaymentAuthFailed):
        assert order is not None, "a payment fact without an order passed its guard"
        if body.attempt != order.attempt:
            raise rejection(order, event_type, REFUSED, PAYMENT_LOCK)


def rejection(order: Order | None, event_type: str, code: str, blocker: str | None) -> Rejection:
    """Return the refusal with what a client may know: status, blocking event, allowed actions."""
    details: dict[str, object] = {"refused_event": event_type}
    if order is not None:
        details["order_id"] = order.id
        details["order_status"] = status(order)
        details["order_version"] = order.version
        details["allowed_actions"] = allowed_actions(order)
        if blocker is not None:
            happening = order.happened[blocker]
            details["blocking_event"] = {
                "id": happening.event_id,
                "type": blocker,
                "version": happening.version,
                "at_ms": happening.at_ms,
            }
    hint = 404 if code == "not-found" else 409
    return Rejection(code, SENTENCES[code], status_hint=hint, details=details)


def allowed_actions(order: Order) -> dict[str, dict[str, object]]:
    """Return, for each customer action, whether it is allowed, and else why not and since when."""
    actions: dict[str, dict[str, object]] = {}
    for action, event_type in ACTIONS.items():
        refused = refusal(order, event_type)
        if refused is None:
            actions[action] = {"allowed": True}
        else:
            code, blocker = refused
            since = order.happened[blocker].event_id if blocker else None
            actions[action] = {"allowed": False, "reason": code, "since": since}
    return actions
