"""What must hold between the log and the outside parties: provider, carrier, mailbox."""

import json
from collections import Counter
from collections.abc import Iterator

from sim.judges.evidence import EventRow, Evidence, Operation
from sim.judges.words import DECLINES

TEMPLATES = {
    "order-created": "order-received",
    "order-cancelled": "order-cancelled",
    "payment-auth-failed": "payment-failed",
    "shipped": "order-shipped",
}


def no_capture_twice(evidence: Evidence) -> Iterator[str | None]:
    """No order was charged twice, by the provider's books."""
    yield from _at_most_once(evidence, "capture")


def no_refund_twice(evidence: Evidence) -> Iterator[str | None]:
    """No order was refunded twice, by the provider's books."""
    yield from _at_most_once(evidence, "refund")


def no_authorisation_twice(evidence: Evidence) -> Iterator[str | None]:
    """No order had money reserved twice, by the provider's books."""
    yield from _at_most_once(evidence, "authorise")


def captured_is_the_total(evidence: Evidence) -> Iterator[str | None]:
    """What was charged is the sum of the order's lines, and so is what the log says of it."""
    streams = evidence.streams
    for operation in _moves(evidence, "capture"):
        events = streams.get(operation.order_id, [])
        if not events:
            yield f"{operation.order_id}: charged, and not in the log"
            continue
        lines = events[0].data["items"]
        total = sum(line["quantity"] * line["unit_price"]["amount"] for line in lines)
        sums = {operation.amount, total, events[0].data["total"]["amount"]}
        sums |= {event.data["amount"]["amount"] for event in events if "amount" in event.data}
        yield None if len(sums) == 1 else f"{operation.order_id}: amounts {sorted(sums)}"


def the_log_and_the_provider_agree(evidence: Evidence) -> Iterator[str | None]:
    """Captured in the log if and only if charged, refunded if and only if given back: same ids."""
    moves: dict[tuple[str, str], list[str]] = {}
    for operation in evidence.operations:
        moves.setdefault((operation.order_id, operation.kind), []).append(operation.id)
    streams = evidence.streams
    for order_id in dict.fromkeys((*streams, *(order_id for order_id, _ in moves))):
        events = streams.get(order_id, [])
        for kind, field, move in (
            ("payment-captured", "charge_id", "capture"),
            ("payment-refunded", "refund_id", "refund"),
        ):
            said = [event.data[field] for event in events if event.type == kind]
            done = moves.get((order_id, move), [])
            yield None if said == done else f"{order_id}: {kind} {said}, {move} {done}"


def no_refund_without_a_cancel(evidence: Evidence) -> Iterator[str | None]:
    """Nothing was given back that had not been taken, and to nobody who had not cancelled."""
    charges = {operation.id: operation.order_id for operation in _moves(evidence, "capture")}
    cancelled = {event.order_id for event in evidence.events if event.type == "order-cancelled"}
    for refund in _moves(evidence, "refund"):
        right = charges.get(refund.of) == refund.order_id and refund.order_id in cancelled
        yield None if right else f"{refund.order_id}: {refund.id} gives {refund.of} back"


def cancelled_and_captured_is_refunded(evidence: Evidence) -> Iterator[str | None]:
    """Every charge of an order that was cancelled has been given back."""
    refunded = {operation.of for operation in _moves(evidence, "refund")}
    cancelled = {event.order_id for event in evidence.events if event.type == "order-cancelled"}
    for charge in _moves(evidence, "capture"):
        if charge.order_id in cancelled:
            yield None if charge.id in refunded else f"{charge.order_id}: {charge.id} is kept"


def a_reservation_is_used_or_given_up(evidence: Evidence) -> Iterator[str | None]:
    """Reserved money was either taken or released, never both."""
    ended = Counter(
        operation.of for operation in evidence.operations if operation.kind in ("capture", "void")
    )
    cancelled = {event.order_id for event in evidence.events if event.type == "order-cancelled"}
    for operation in _moves(evidence, "authorise"):
        count = ended[operation.id]
        # A request still on its way from a process that died may reserve after the cancel.
        right = count == 1 or (count == 0 and operation.order_id in cancelled)
        yield None if right else f"{operation.order_id}: reserved once, ended {count} times"


def the_card_is_the_one_at_the_lock(evidence: Evidence) -> Iterator[str | None]:
    """The card that was asked for money is the one chosen when payment began, and not before."""
    streams = evidence.streams
    for operation in _moves(evidence, "authorise"):
        events = streams.get(operation.order_id, [])
        lock = _first(events, "payment-auth-in-progress")
        if lock is None:
            yield f"{operation.order_id}: money was reserved without a lock"
            continue
        refs = [e.data["payment"]["ref"] for e in events[: lock.version] if "payment" in e.data]
        token = evidence.vault.get(refs[-1]) if refs else None
        asked_at = evidence.moments.get(operation.id, operation.at_ms)
        right = operation.token == token and asked_at >= evidence.moments.get(
            lock.id, lock.recorded_at_ms
        )
        yield None if right else f"{operation.order_id}: {operation.token}, chosen {token}"


def the_ledger_is_before_the_fact(evidence: Evidence) -> Iterator[str | None]:
    """What a fact event states had happened in the party's own books before it was recorded."""
    booked: dict[str, float] = {one.id: one.at_ms for one in evidence.operations}
    booked |= {parcel.id: parcel.prepared_at_ms for parcel in evidence.parcels}
    recorded: dict[str, float] = {one.id: one.recorded_at_ms for one in evidence.events}
    if evidence.moments:  # machines apart, whose clocks may differ
        booked = {name: evidence.moments[name] for name in booked}
        recorded = {name: evidence.moments[name] for name in recorded}
    names = ("charge_id", "refund_id", "parcel_id")
    for event in evidence.events:
        for name in names:
            if name in event.data:
                at = booked.get(event.data[name])
                right = at is not None and at <= recorded[event.id]
                yield None if right else f"{event.order_id}: {event.type} at {at} in the books"


def shipped_to_the_address_at_the_lock(evidence: Evidence) -> Iterator[str | None]:
    """A prepared order has one parcel, with its items, to the address as of the shipping lock.

    So has one whose parcel is there already, and shipping was never told: it may have no more than
    that. An order without the lock has none.
    """
    streams = evidence.streams
    parcels: dict[str, list[int]] = {}
    for number, parcel in enumerate(evidence.parcels):
        parcels.setdefault(parcel.order_id, []).append(number)
    for order_id in dict.fromkeys((*streams, *parcels)):
        events = streams.get(order_id, [])
        packed = [evidence.parcels[number] for number in parcels.get(order_id, [])]
        prepared = _first(events, "shipping-prepared")
        lock = _first(events, "shipping-preparation-in-progress")
        if lock is None or not (prepared or packed):
            yield f"{order_id}: {len(packed)} parcels, not prepared" if packed else None
            continue
        refs = [e.data["address_ref"] for e in events[: lock.version] if "address_ref" in e.data]
        said = prepared and (prepared.data["parcel_id"], prepared.data["address_version"])
        right = [
            said in (None, (parcel.id, lock.version))
            and parcel.address == json.loads(evidence.vault[refs[-1]])
            and parcel.items == events[0].data["items"]
            for parcel in packed
        ]
        yield None if right == [True] else f"{order_id}: {len(packed)} parcels, {said}, {refs}"


def no_mail_twice(evidence: Evidence) -> Iterator[str | None]:
    """No customer got two mails by one template, nor two with one Message-ID."""
    templates = Counter((mail.order_id, mail.template) for mail in evidence.mails)
    for (order_id, template), count in templates.items():
        yield f"{order_id}: {count} mails {template}" if count > 1 else None
    for message_id, count in Counter(mail.message_id for mail in evidence.mails).items():
        yield f"{message_id}: {count} mails" if count > 1 else None


def no_mail_without_a_reason(evidence: Evidence) -> Iterator[str | None]:
    """Every mail is about an event that is news to the customer, to him, about his order."""
    implied = _implied_mails(evidence)
    for mail in evidence.mails:
        event = implied.get(mail.name)
        if event is None:
            yield f"{mail.name}: nobody had reason to send it"
            continue
        created = evidence.streams[event.order_id][0]
        customer = json.loads(evidence.vault[created.data["customer_ref"]])
        number = str(created.data["number"])
        right = mail.to == customer["email"] and number in mail.subject.split()
        yield None if right else f"{mail.name}: to {mail.to}, {mail.subject}"


def mails_are_what_the_log_implies(evidence: Evidence) -> Iterator[str | None]:
    """There is a mail for each event that is news to the customer."""
    found = {mail.name for mail in evidence.mails}
    for name in _implied_mails(evidence):
        yield None if name in found else f"{name}: was never sent"


def the_mail_journal_agrees(evidence: Evidence) -> Iterator[str | None]:
    """What the service noted as sent was sent, what it skipped was not, nothing is half done."""
    found = {mail.name for mail in evidence.mails}
    for row in evidence.mail_rows:
        right = row.state == ("sent" if row.key in found else "skipped")
        yield None if right else f"{row.key}: {row.state}"


def every_order_is_where_it_belongs(evidence: Evidence) -> Iterator[str | None]:
    """Nothing is left undone: paid orders are prepared, declined ones failed, all ends are met.

    Unless its payment is parked, with an alarm.
    """
    for order_id, events in evidence.streams.items():
        if any(event.id in evidence.parked["payment"] for event in events):
            continue
        types = {event.type for event in events}
        lock = _first(events, "payment-auth-in-progress")
        refs = [
            event.data["payment"]["ref"]
            for event in events[: lock.version if lock else None]
            if "payment" in event.data
        ]
        reason = DECLINES.get(evidence.vault[refs[-1]])
        failed = _first(events, "payment-auth-failed")
        if "order-cancelled" in types:
            ends = {"payment-refunded"} if "payment-captured" in types else set()
            over = lock is None or bool({"payment-captured", "payment-auth-failed"} & types)
            right = over and ends <= types
        elif reason is not None:
            right = failed is not None and failed.data["reason"] == reason
        else:
            right = failed is None and "shipping-prepared" in types
        yield None if right else f"{order_id}: {[event.type for event in events]}"


def _at_most_once(evidence: Evidence, kind: str) -> Iterator[str | None]:
    for order_id, count in Counter(move.order_id for move in _moves(evidence, kind)).items():
        yield f"{order_id}: {count} times {kind}" if count > 1 else None


def _moves(evidence: Evidence, kind: str) -> list[Operation]:
    return [operation for operation in evidence.operations if operation.kind == kind]


def _first(events: list[EventRow], kind: str) -> EventRow | None:
    return next((event for event in events if event.type == kind), None)


def _mail_name(event: EventRow) -> str:
    return f"{event.order_id}.{event.id}.{TEMPLATES[event.type]}"


def _implied_mails(evidence: Evidence) -> dict[str, EventRow]:
    return {
        _mail_name(event): event
        for events in evidence.streams.values()
        for event in events
        if _is_news(events, event)
    }


def _is_news(events: list[EventRow], event: EventRow) -> bool:
    if event.type != "payment-auth-failed":
        return event.type in TEMPLATES
    return not any(
        earlier.type == "order-cancelled" and earlier.version < event.version for earlier in events
    )
