"""Which histories an order may have, written down a second time, in another way than the product.

The product asks per event what it needs and what blocks it. Here an order is four little machines
that run side by side (payment, shipping, cancellation, refund), each a row of "in this state, this
event leads there"; what one machine needs of
another is said by `NEEDS`.
"""

from collections.abc import Sequence

# machine: (state, event) -> state; every machine begins in "-"
MACHINES = {
    "life": {
        ("-", "order-created"): "open",
        ("open", "order-cancelled"): "cancelled",
    },
    "payment": {
        ("-", "payment-updated"): "-",
        ("-", "payment-auth-in-progress"): "trying",
        ("trying", "payment-captured"): "captured",
        ("trying", "payment-auth-failed"): "failed",
    },
    "refund": {
        ("-", "payment-refund-in-progress"): "refunding",
        ("refunding", "payment-refunded"): "refunded",
    },
    "shipping": {
        ("-", "shipping-address-updated"): "-",
        ("-", "shipping-preparation-in-progress"): "preparing",
        ("preparing", "shipping-prepared"): "prepared",
        ("prepared", "shipped"): "shipped",
    },
}
# event: the states of other machines that it needs (one of them)
NEEDS: dict[str, dict[str, tuple[str, ...]]] = {
    "order-cancelled": {"shipping": ("-",)},
    "payment-updated": {"life": ("open",)},
    "payment-auth-in-progress": {"life": ("open",)},
    "payment-captured": {"life": ("open", "cancelled")},
    "payment-auth-failed": {"life": ("open", "cancelled")},
    "payment-refund-in-progress": {"life": ("cancelled",), "payment": ("captured",)},
    "payment-refunded": {"life": ("cancelled",)},
    "shipping-address-updated": {"life": ("open",)},
    "shipping-preparation-in-progress": {"life": ("open",), "payment": ("captured",)},
    "shipping-prepared": {"life": ("open",)},
    "shipped": {"life": ("open",)},
}
STATED_BY = {
    "order-created": "order-event-service",
    "order-cancelled": "order-event-service",
    "payment-updated": "order-event-service",
    "shipping-address-updated": "order-event-service",
    "payment-auth-in-progress": "payment-service",
    "payment-captured": "payment-service",
    "payment-auth-failed": "payment-service",
    "payment-refund-in-progress": "payment-service",
    "payment-refunded": "payment-service",
    "shipping-preparation-in-progress": "shipping-service",
    "shipping-prepared": "shipping-service",
    "shipped": "shipping-service",
}
PUBLISHED_TO = {
    "order-created": "orders",
    "order-cancelled": "orders",
    "payment-captured": "payment",
    "payment-auth-failed": "payment",
    "shipped": "shipping",
}
CONSUMED_BY = {
    "payment": ("order-created", "order-cancelled"),
    "shipping": ("payment-captured",),
    "notification": ("order-created", "order-cancelled", "payment-auth-failed", "shipped"),
}
# A refusal's slug: one of these events must have happened (none: it was too early).
REFUSED_FOR = {
    "payment-locked": ("payment-auth-in-progress",),
    "shipping-locked": ("shipping-preparation-in-progress",),
    "cancellation-locked": ("shipping-preparation-in-progress",),
    "order-cancelled": ("order-cancelled",),
    "order-already-cancelled": ("order-cancelled",),
    "already-shipped": ("shipped",),
    "not-prepared": (),
}
DECLINES = {
    "pm_card_declined": "card_declined",
    "pm_card_insufficient": "insufficient_funds",
    "pm_card_expired": "expired_card",
    "pm_card_cvc": "incorrect_cvc",
    "pm_card_processing": "processing_error",
}


def wrong_at(types: Sequence[str]) -> str | None:
    """Return the first event that no machine takes, as a sentence; None for a lawful word."""
    states = dict.fromkeys(MACHINES, "-")
    for number, kind in enumerate(types, 1):
        moved = False
        for machine, table in MACHINES.items():
            target = table.get((states[machine], kind))
            if target is not None:
                for other, allowed in NEEDS.get(kind, {}).items():
                    if states[other] not in allowed:
                        return f"{number}: {kind} while {other} is {states[other]}"
                states[machine], moved = target, True
        if not moved:
            return f"{number}: {kind} in {states}"
    return None
