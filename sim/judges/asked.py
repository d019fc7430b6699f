"""What outside parties were asked for: also where the request, or its answer, was lost.

The parties' own books show what reached them. These claims are about every request that left one of
our processes, because a request that got lost today is a charge tomorrow.
"""

from collections.abc import Iterator

from sim.judges.evidence import EventRow, Evidence
from sim.judges.observed import Call

NEVER = float("inf")
_LOCKS = {
    "authorise": "payment-auth-in-progress",
    "capture": "payment-auth-in-progress",
    "void": "payment-auth-in-progress",
    "refund": "payment-refund-in-progress",
    "prepare": "shipping-preparation-in-progress",
}


def nothing_is_asked_before_its_lock(evidence: Evidence) -> Iterator[str | None]:
    """A provider or carrier is asked to do something only after the event that locks it."""
    for call in evidence.observed.calls:
        kind = _LOCKS.get(call.what)
        if kind is not None:
            lock = _first(evidence, call.order_id, kind)
            locked_at = NEVER if lock is None else evidence.moments.get(lock.id, NEVER)
            right = locked_at <= call.at
            what = f"{call.order_id}: {call.what} asked for at {call.at:.3f} s"
            yield None if right else f"{what}, {kind} committed at {locked_at:.3f} s"


def the_provider_is_asked_with_the_card_at_the_lock(evidence: Evidence) -> Iterator[str | None]:
    """Money is asked for from the card as of payment's lock, and always the order's total."""
    for call in evidence.observed.calls:
        if call.party == "provider" and "amount" in call.facts:
            created = _first(evidence, call.order_id, "order-created")
            total = created and created.data["total"]["amount"]
            right = call.facts["amount"] == total and _card_fits(evidence, call)
            yield None if right else f"{call.order_id}: {call.what} with {call.facts}"


def _card_fits(evidence: Evidence, call: Call) -> bool:
    if "token" not in call.facts:
        return True
    refs = [event.data["payment"]["ref"] for event in _until_lock(evidence, call, "payment")]
    return bool(refs) and call.facts["token"] == evidence.vault.get(refs[-1])


def the_carrier_is_asked_with_the_address_at_the_lock(evidence: Evidence) -> Iterator[str | None]:
    """A parcel is asked for to the address as of shipping's lock."""
    for call in evidence.observed.calls:
        if call.what == "prepare":
            refs = [event.data["address_ref"] for event in _until_lock(evidence, call, "address")]
            chosen = evidence.addresses.get(refs[-1]) if refs else None
            right = chosen == call.facts["address"]
            yield None if right else f"{call.order_id}: {call.facts['address']}, chosen {chosen}"


def nothing_is_captured_of_a_cancel_that_was_told(evidence: Evidence) -> Iterator[str | None]:
    """Who was told that his order is cancelled before his money was reserved is not charged.

    Payment looks again between the two. A cancel that comes later may lose, and is refunded.
    """
    told: dict[str, float] = {}
    for command in evidence.commands:
        if command.kind == "cancel" and command.accepted is not None:
            at = min(told.get(command.order_id, NEVER), command.accepted.at)
            told[command.order_id] = at
    reserved: dict[str, float] = {}
    looked: set[str] = set()
    for call in evidence.observed.calls:
        if call.what == "authorise" and not call.outcome and call.ended_at is not None:
            reserved[call.order_id] = call.ended_at
        elif call.what == "capture" and call.order_id in reserved.keys() - looked:
            looked.add(call.order_id)
            told_at, reserved_at = told.get(call.order_id, NEVER), reserved[call.order_id]
            what = f"{call.order_id}: capture asked for at {call.at:.3f} s"
            yield (
                None if told_at > reserved_at else f"{what}, told of its cancel at {told_at:.3f} s"
            )


def each_thing_is_asked_under_one_key(evidence: Evidence) -> Iterator[str | None]:
    """Whatever is asked for again, is asked for under the same key."""
    keys: dict[tuple[str, str], set[str]] = {}
    for call in evidence.observed.calls:
        if call.what in _LOCKS:
            keys.setdefault((call.order_id, call.what), set()).add(call.key)
    for (order_id, what), used in keys.items():
        yield None if len(used) == 1 else f"{order_id}: {what} under {sorted(used)}"


def _until_lock(evidence: Evidence, call: Call, what: str) -> list[EventRow]:
    """Return the events up to the lock that name a card, or an address."""
    lock = _first(evidence, call.order_id, _LOCKS[call.what])
    events = evidence.streams.get(call.order_id, [])
    name = "payment" if what == "payment" else "address_ref"
    return [event for event in events[: lock.version if lock else 0] if name in event.data]


def _first(evidence: Evidence, order_id: str, kind: str) -> EventRow | None:
    return next((one for one in evidence.streams.get(order_id, []) if one.type == kind), None)
