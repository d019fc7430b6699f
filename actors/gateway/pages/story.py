"""An order in plain words: where it stands, how far it is, what happened, what can be done now.

Everything here is a pure function of the order and its events. What may be done is asked of the
rules, never decided here.
"""

from collections.abc import Iterable, Sequence
from typing import Literal

import msgspec

from actors.domain.amounts import amount_text
from actors.domain.correspondence import MailSent
from actors.domain.events import (
    Event,
    OrderCancelled,
    PaymentAuthFailed,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRefundInProgress,
    PaymentUpdated,
    Shipped,
)
from actors.domain.order import Order, payment_status, status
from actors.domain.rules import ACTIONS, refusal
from actors.domain.values import PaymentMethod
from actors.gateway.context import Holds

DECLINED = {
    "insufficient_funds": "There is not enough money on the card.",
    "expired_card": "The card has expired.",
    "incorrect_cvc": "The security code was wrong.",
    "processing_error": "The card's processor reported an error.",
}
DECLINED_SOMEHOW = "The bank declined the card."
LABELS = {
    "update_payment": "Change card",
    "update_shipping_address": "Change address",
    "cancel": "Cancel order",
}
PATHS = {"update_payment": "payment", "update_shipping_address": "address", "cancel": "cancel"}
WHY = {
    "payment-locked": "Payment began",
    "shipping-locked": "We began to pack",
    "cancellation-locked": "We began to pack",
    "order-cancelled": "The order was cancelled",
    "order-already-cancelled": "The order was cancelled",
}
READ_ONLY = "This link only shows the order"
ACTORS = {
    "order-event-service": "Shop",
    "payment-service": "Payment",
    "shipping-service": "Shipping",
}

LETTERS = {
    "order-received": "We received your order",
    "order-cancelled": "Your order is cancelled",
    "payment-failed": "The payment failed",
    "order-shipped": "Your order is on its way",
    "order-link": "The link to your order",
}

Tone = Literal["good", "bad", "wait"]
Progress = Literal["done", "current", "stopped", "todo"]


class Standing(msgspec.Struct, frozen=True):
    """Where an order stands, in two sentences."""

    headline: str
    detail: str
    icon: str
    tone: Tone


class Step(msgspec.Struct, frozen=True):
    """One of the steps that every order takes, or where it left them."""

    name: str
    progress: Progress
    icon: str
    at_ms: int | None = None


class Action(msgspec.Struct, frozen=True):
    """Something that the customer can do, or cannot: then why, and since when."""

    name: str
    label: str
    path: str
    why: str | None = None
    since_ms: int | None = None


class Entry(msgspec.Struct, frozen=True):
    """One line of the timeline, and the event behind it."""

    sentence: str
    actor: str
    icon: str
    tone: Tone
    event: Event


class Letter(msgspec.Struct, frozen=True):
    """One mail to the customer; ``sent`` is False while it is still being sent."""

    subject: str
    sent: bool
    at_ms: int


class Hold(msgspec.Struct, frozen=True):
    """Something that waits, so that the customer can still change his mind."""

    until_ms: int
    what: str
    meanwhile: str


def card_text(method: PaymentMethod) -> str:
    """Return a card as it may be shown."""
    return f"{method.brand.title()} ending in {method.last4}"


def declined(reason: str | None) -> str:
    """Return why a payment failed, in a sentence."""
    return DECLINED.get(reason or "", DECLINED_SOMEHOW)


def standing(order: Order) -> Standing:
    """Return where the order stands."""
    if order.cancelled:
        return _cancelled(order)
    total = amount_text(order.total)
    match status(order):
        case "placed":
            detail = f"Next, {total} are taken from your {card_text(order.payment)}."
            return Standing("Thank you, we have your order.", detail, "receipt", "good")
        case "payment_pending":
            detail = f"The bank is being asked for {total}. This takes a moment."
            return Standing("Your payment is on its way.", detail, "card", "wait")
        case "payment_failed":
            detail = f"{declined(order.failure)} Nothing was charged."
            return Standing("The payment failed.", detail, "cross", "bad")
        case "paid":
            return Standing("Paid. We pack your parcel next.", f"{total} paid.", "check", "good")
        case "preparing":
            detail = "Address and order are now fixed."
            return Standing("Paid. We are packing your parcel.", detail, "parcel", "good")
        case "prepared":
            detail = "The carrier picks it up next."
            return Standing("Your parcel is packed.", detail, "parcel", "good")
        case _:
            detail = f"With {order.carrier}, tracking number {order.tracking}."
            return Standing("Your parcel is on its way.", detail, "truck", "good")


def _cancelled(order: Order) -> Standing:
    total = amount_text(order.total)
    match payment_status(order):
        case "refunded":
            detail = f"{total} went back to your {card_text(order.payment)}."
            return Standing("Cancelled, and refunded.", detail, "refund", "good")
        case "refunding" | "captured":
            detail = f"{total} go back to your {card_text(order.payment)}. We try until it is done."
            return Standing("Cancelled. Your refund is on its way.", detail, "refund", "wait")
        case "authorizing":
            detail = "The payment is being stopped. If it still goes through, you get it back."
            return Standing("Cancelled.", detail, "cross", "wait")
        case _:
            return Standing("Cancelled.", "Nothing was charged.", "cross", "wait")


def steps(order: Order) -> list[Step]:
    """Return how far the order is: four steps, or where it branched off."""
    if order.cancelled:
        return _cancelled_steps(order)
    rows = [
        ("Placed", "order-created", "receipt"),
        ("Paid", "payment-captured", "card"),
        ("Prepared", "shipping-prepared", "parcel"),
        ("Shipped", "shipped", "truck"),
    ]
    failed = status(order) == "payment_failed"
    found: list[Step] = []
    for name, event_type, icon in rows:
        if order.has(event_type):
            found.append(Step(name, "done", "check", order.happened[event_type].at_ms))
        elif failed and name == "Paid":
            at_ms = order.happened["payment-auth-failed"].at_ms
            found.append(Step("Payment failed", "stopped", "cross", at_ms))
        else:
            current = not failed and found[-1].progress == "done"
            found.append(Step(name, "current" if current else "todo", icon))
    return found


def _cancelled_steps(order: Order) -> list[Step]:
    found = [Step("Placed", "done", "check", order.created_at_ms)]
    if order.captured:
        found.append(Step("Paid", "done", "check", order.happened["payment-captured"].at_ms))
    cancelled_at_ms = order.happened["order-cancelled"].at_ms
    found.append(Step("Cancelled", "stopped", "cross", cancelled_at_ms))
    if order.refund_due:
        found.append(Step("Refund", "current", "refund"))
    elif order.captured:
        found.append(Step("Refunded", "done", "check", order.happened["payment-refunded"].at_ms))
    return found


def actions(order: Order, *, edit: bool = True) -> list[Action]:
    """Return the three things to do, always in the same order."""
    return [_action(order, name, event_type, edit) for name, event_type in ACTIONS.items()]


def _action(order: Order, name: str, event_type: str, edit: bool) -> Action:
    path = f"/orders/{order.id}/{PATHS[name]}"
    refused = refusal(order, event_type)
    if refused is None:
        return Action(name, LABELS[name], path, None if edit else READ_ONLY)
    code, blocker = refused
    since_ms = order.happened[blocker].at_ms if blocker else None
    return Action(name, LABELS[name], path, WHY.get(code, "Not possible now"), since_ms)


def hold(order: Order, holds: Holds, now_ms: int) -> Hold | None:
    """Return what waits for the customer, as far as the settings tell; None where nothing does."""
    if status(order) == "placed":
        until_ms = order.created_at_ms + int(holds.payment_s * 1000)
        found = Hold(until_ms, "Payment begins", "you can still choose another card.")
    elif status(order) == "paid":
        until_ms = order.happened["payment-captured"].at_ms + int(holds.shipping_s * 1000)
        found = Hold(until_ms, "We begin to pack", "you can still change the address, or cancel.")
    else:
        return None
    return found if until_ms > now_ms else None


def timeline(events: Iterable[Event]) -> list[Entry]:
    """Return what happened, oldest first."""
    return [_entry(event) for event in events]


_WORDS: dict[str, tuple[str, str, Tone]] = {
    "order-created": ("You placed the order.", "receipt", "good"),
    "shipping-address-updated": ("You changed the delivery address.", "home", "wait"),
    "payment-auth-in-progress": (
        "Payment began. The card can no longer be changed.",
        "card",
        "wait",
    ),
    "shipping-preparation-in-progress": (
        "We began to pack. Address and order can no longer be changed.",
        "lock",
        "wait",
    ),
    "shipping-prepared": ("The parcel is packed and waits for the carrier.", "parcel", "good"),
}


def _entry(event: Event) -> Entry:
    sentence, icon, tone = _WORDS.get(event.type.name) or _telling(event)
    by_customer = event.type.name in ("order-created", *ACTIONS.values())
    if isinstance(event.body, OrderCancelled):
        by_customer = event.body.by == "customer"
    actor = "You" if by_customer else ACTORS[event.type.app_id]
    return Entry(sentence, actor, icon, tone, event)


def _telling(event: Event) -> tuple[str, str, Tone]:
    """Return the words for an event that says something of its own."""
    match event.body:
        case PaymentUpdated(payment=method):
            return f"You chose another card: {card_text(method)}.", "card", "wait"
        case PaymentCaptured(amount=amount):
            return f"{amount_text(amount)} were paid.", "check", "good"
        case PaymentAuthFailed(reason="order-cancelled"):
            return "The payment was stopped. Nothing was charged.", "cross", "wait"
        case PaymentAuthFailed(reason=reason):
            return f"The payment failed. {declined(reason)}", "cross", "bad"
        case OrderCancelled(by=by, reason=reason):
            who = "You" if by == "customer" else "We"
            why = f" Reason: {reason}" if reason else ""
            return f"{who} cancelled the order.{why}", "cross", "bad"
        case PaymentRefundInProgress(amount=amount):
            return f"A refund of {amount_text(amount)} began.", "refund", "wait"
        case PaymentRefunded(amount=amount):
            return f"{amount_text(amount)} were refunded.", "refund", "good"
        case Shipped(carrier=carrier, tracking=tracking):
            sentence = f"{carrier} took the parcel, tracking number {tracking}."
            return sentence, "truck", "good"
        case body:
            raise AssertionError(f"no words for {type(body).__name__}")


def letters(mails: Iterable[MailSent]) -> list[Letter]:
    """Return the mails that the customer got, or is about to get."""
    return [
        Letter(
            LETTERS.get(mail.template, "A mail about your order"), mail.state == "sent", mail.at_ms
        )
        for mail in mails
        if mail.state != "skipped"
    ]


def since(entries: Sequence[Entry], version: int) -> list[Entry]:
    """Return what happened after a version."""
    return [entry for entry in entries if entry.event.version > version]
