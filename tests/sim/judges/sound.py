"""Evidence of two orders with which nothing is wrong: what doctors spoil in tests."""

import json
from typing import Any

from sim.history import Answered, Command
from sim.judges.evidence import (
    EventRow,
    Evidence,
    ListRow,
    MailFile,
    MailRow,
    Operation,
    Parcel,
    Published,
    Remembered,
)
from sim.judges.words import CONSUMED_BY, PUBLISHED_TO, STATED_BY

PRICE = {"amount": 1450, "currency": "EUR"}
LINES = [{"sku": "MUG-1", "name": "Mug", "quantity": 2, "unit_price": PRICE}]
TOTAL = {"amount": 2900, "currency": "EUR"}
PREPARED = (
    "order-created",
    "payment-auth-in-progress",
    "payment-captured",
    "shipping-preparation-in-progress",
    "shipping-prepared",
)
REFUNDED = (
    *PREPARED[:3],
    "order-cancelled",
    "payment-refund-in-progress",
    "payment-refunded",
)
TEMPLATES = {"order-created": "order-received", "order-cancelled": "order-cancelled"}


def data_of(order_id: str, kind: str) -> dict[str, Any]:
    """Return an event's body."""
    number = int(order_id[1:])
    refs = {"customer_ref": f"{order_id}-who", "address_ref": f"{order_id}-where"}
    payment = {"ref": f"{order_id}-card", "brand": "visa", "last4": "4242"}
    bodies: dict[str, dict[str, Any]] = {
        "order-created": {
            **refs,
            "number": number,
            "items": LINES,
            "total": TOTAL,
            "payment": payment,
        },
        "order-cancelled": {"by": "customer", "reason": f"reason {order_id}"},
        "payment-captured": {"charge_id": f"{order_id}-capture", "amount": TOTAL},
        "payment-refund-in-progress": {"amount": TOTAL},
        "payment-refunded": {"refund_id": f"{order_id}-refund", "amount": TOTAL},
        "shipping-prepared": {"parcel_id": f"{order_id}-parcel", "address_version": 4},
    }
    return bodies.get(kind, {})


def command(kind: Any, order_id: str, mark: str, version: int) -> Command:
    """Return a command that was accepted, and answered twice."""
    body = {"id": order_id, "version": version, "request_id": "r1"}
    answers = (
        Answered("c", 1, 201, body),
        Answered("c", 2, 201, {**body, "request_id": "r2"}),
    )
    return Command(f"{order_id}-{kind}", kind, order_id, mark, True, {}, 2, answers)


def sound() -> Evidence:
    """Return the evidence of two orders, one prepared and one refunded, with nothing wrong."""
    evidence = Evidence(
        commands=[],
        events=[],
        published=[],
        operations=[],
        parcels=[],
        mails=[],
        mail_rows=[],
        remembered=[],
        order_list=[],
        vault={},
        inbox={service: {} for service in CONSUMED_BY},
        holds={"payment": 0},
        outbox=[],
        calls=[],
        queues={"payment": 0, "payment.dead": 0},
        faults={"orders.db": "ok"},
    )
    add(evidence, "o1", PREPARED, "prepared")
    add(evidence, "o2", REFUNDED, "cancelled")
    refused = Answered("c", 1, 409, {"type": "/problems/cancellation-locked"})
    evidence.commands += [
        Command("no", "cancel", "o1", "refused", True, {}, 1, (refused,)),
        Command("lost", "cancel", "o1", "lost", True, {}, 1, (Answered("c", 1, 0),)),
    ]
    return evidence


def add(evidence: Evidence, order_id: str, types: tuple[str, ...], status: str) -> None:
    """Add an order with this history, and everything that goes with it."""
    who = {"name": f"name {order_id}", "email": f"{order_id}@example.org"}
    evidence.vault[f"{order_id}-who"] = json.dumps(who)
    evidence.vault[f"{order_id}-where"] = json.dumps({"line1": f"street {order_id}"})
    evidence.vault[f"{order_id}-card"] = "pm_card_visa"
    for version, kind in enumerate(types, 1):
        at_ms = 1000 + 10 * version
        name, data = f"{order_id}-{kind}", data_of(order_id, kind)
        position = len(evidence.events) + 1
        evidence.events.append(
            EventRow(position, name, order_id, version, kind, data, STATED_BY[kind], at_ms)
        )
        if kind in PUBLISHED_TO:
            publish(evidence, evidence.events[-1])
        for service, consumed in CONSUMED_BY.items():
            if kind in consumed:
                evidence.inbox[service][name] = "done"
        if kind in TEMPLATES:
            mail(evidence, evidence.events[-1], TEMPLATES[kind])
    book(evidence, order_id, "authorise", "", 1025)
    book(evidence, order_id, "capture", f"{order_id}-authorise", 1026)
    if "payment-refunded" in types:
        book(evidence, order_id, "refund", f"{order_id}-capture", 1055)
        evidence.commands.append(command("cancel", order_id, f"reason {order_id}", 4))
        evidence.remembered.append(Remembered("p", "r", f"k{order_id}c", order_id, 4))
    else:
        address = {"line1": f"street {order_id}"}
        evidence.parcels.append(
            Parcel(f"{order_id}-parcel", order_id, order_id, address, LINES, 1045)
        )
    evidence.commands.append(command("place", order_id, f"name {order_id}", 1))
    evidence.remembered.append(Remembered("p", "r", f"k{order_id}", order_id, 1))
    evidence.order_list.append(ListRow(order_id, status, len(types), 2900, 0))


def publish(evidence: Evidence, event: EventRow) -> None:
    exchange = PUBLISHED_TO[event.type]
    evidence.published.append(
        Published(
            id=event.id,
            type=f"{event.type}/v1",
            app_id=event.app_id,
            exchange=exchange,
            routing_key=f"{exchange}.{event.type}",
            order_id=event.order_id,
            version=event.version,
            data=event.data,
            raw=event.id.encode(),
        )
    )


def mail(evidence: Evidence, event: EventRow, template: str) -> None:
    name = f"{event.order_id}.{event.id}.{template}"
    to, subject = f"{event.order_id}@example.org", f"Your order {event.order_id[1:]} is here"
    evidence.mails.append(MailFile(name, to, subject, f"<{name}>", event.order_id, template))
    evidence.mail_rows.append(MailRow(name, event.order_id, event.id, template, "sent", ""))


def book(evidence: Evidence, order_id: str, kind: str, of: str, at_ms: int) -> None:
    evidence.operations.append(
        Operation(
            f"{order_id}-{kind}",
            f"{order_id}/{kind}",
            kind,
            order_id,
            "pm_card_visa",
            2900,
            "EUR",
            of,
            at_ms,
        )
    )
