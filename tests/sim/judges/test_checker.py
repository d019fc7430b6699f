"""The checker is checked: doctored ledgers make each of its invariants fail, one by one."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import msgspec
import pytest

from sim.history import Answered, Command
from sim.judges.checker import INVARIANTS, check
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
from sim.judges.words import CONSUMED_BY, PUBLISHED_TO, STATED_BY, wrong_at

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


Doctor = Callable[[Evidence], object]


def event(evidence: Evidence, event_id: str) -> EventRow:
    return next(event for event in evidence.events if event.id == event_id)


def again(rows: list[Any], number: int, **changes: object) -> None:
    """Append a copy of a row, with changes."""
    rows.append(msgspec.structs.replace(deepcopy(rows[number]), **changes))


def set_to(rows: list[Any], number: int, **changes: object) -> None:
    """Replace a row by one with changes."""
    rows[number] = msgspec.structs.replace(rows[number], **changes)


def cancel_prepared(evidence: Evidence) -> None:
    created = event(evidence, "o1-order-created")
    data = {"by": "customer", "reason": "x"}
    evidence.events.append(
        msgspec.structs.replace(created, id="x", version=6, type="order-cancelled", data=data)
    )


def second_cancel(mark: str) -> Doctor:
    """Return what gives a command with this mark ``two`` events, or one too many."""

    def doctor(evidence: Evidence) -> None:
        cancelled = event(evidence, "o2-order-cancelled")
        data = {"by": "customer", "reason": mark}
        for name in ("x", "y"):
            evidence.events.append(msgspec.structs.replace(cancelled, id=name, data=data))

    return doctor


def answered(name: str, status: int, body: object) -> Doctor:
    """Return what gives a command another answer."""

    def doctor(evidence: Evidence) -> None:
        number = next(n for n, one in enumerate(evidence.commands) if one.name == name)
        old = evidence.commands[number]
        extra = Answered("c", 3, status, body)
        set_to(evidence.commands, number, answers=(*old.answers, extra))

    return doctor


# invariant: what makes it fail
DOCTORS: dict[str, Doctor] = {
    "every_stream_is_a_lawful_word": lambda e: set_to(e.events, 2, type="payment-refunded"),
    "versions_have_no_gap": lambda e: set_to(e.events, 4, version=6),
    "event_ids_are_unique": lambda e: set_to(e.events, 4, id="o1-order-created"),
    "order_numbers_are_unique": lambda e: e.events[5].data.update(number=1),
    "events_are_stated_by_their_service": lambda e: set_to(e.events, 2, app_id="gateway"),
    "never_cancelled_and_prepared": cancel_prepared,
    "accepted_means_exactly_one_event": lambda e: e.events.pop(0),
    "refused_means_no_event": second_cancel("refused"),
    "unknown_means_at_most_one_event": second_cancel("lost"),
    "every_client_event_was_asked_for": second_cancel("nobody's"),
    "refusals_are_deserved": lambda e: set_to(
        e.commands, -2, answers=(Answered("c", 1, 409, {"type": "/problems/already-shipped"}),)
    ),
    "answers_are_expected": answered("o1-place", 500, {}),
    "one_key_one_answer": answered("o1-place", 201, {"id": "o1", "version": 2}),
    "every_answer_is_remembered_once": lambda e: again(e.remembered, 0, key="another"),
    "the_list_is_what_the_log_says": lambda e: set_to(e.order_list, 0, version=4),
    "published_is_what_was_committed": lambda e: again(e.published, 0, raw=b"other bytes"),
    "committed_is_published": lambda e: e.published.pop(),
    "first_publications_keep_the_order": lambda e: e.published.reverse(),
    "no_capture_twice": lambda e: again(e.operations, 1, id="x"),
    "no_refund_twice": lambda e: again(e.operations, -1, id="x"),
    "no_authorisation_twice": lambda e: again(e.operations, 0, id="x"),
    "captured_is_the_total": lambda e: set_to(e.operations, 1, amount=2901),
    "the_log_and_the_provider_agree": lambda e: e.operations.pop(1),
    "refunded_iff_cancelled_and_captured": lambda e: e.operations.pop(),
    "a_reservation_is_used_or_given_up": lambda e: again(e.operations, 1, id="x", kind="void"),
    "the_card_is_the_one_at_the_lock": lambda e: set_to(e.operations, 0, token="pm_card_flaky"),
    "the_ledger_is_before_the_fact": lambda e: set_to(e.operations, 1, at_ms=9999),
    "shipped_to_the_address_at_the_lock": lambda e: set_to(e.parcels, 0, address={"line1": "x"}),
    "no_mail_twice": lambda e: again(e.mails, 0),
    "mails_are_what_the_log_implies": lambda e: e.mails.pop(),
    "the_mail_journal_agrees": lambda e: set_to(e.mail_rows, 0, state="sending"),
    "every_order_is_where_it_belongs": lambda e: e.events.pop(4),
    "every_message_was_done_by_whom_it_concerns": lambda e: e.inbox["payment"].popitem(),
    "the_outbox_is_empty": lambda e: e.outbox.append("1"),
    "the_holds_are_empty": lambda e: e.holds.update(payment=1),
    "the_payment_journal_is_empty": lambda e: e.calls.append("o1/capture/1"),
    "the_queues_are_empty": lambda e: e.queues.update(payment=1),
    "nothing_was_parked": lambda e: e.queues.update({"payment.dead": 1}),
    "the_files_are_sound": lambda e: e.faults.update({"orders.db": "malformed"}),
}


def test_sound_evidence_passes_every_invariant_and_evaluates_each() -> None:
    findings = check(sound())
    assert [finding for finding in findings if not finding.green] == []


def test_there_is_a_doctor_for_every_invariant_and_every_one_states_its_claim() -> None:
    assert sorted(DOCTORS) == sorted(invariant.__name__ for invariant in INVARIANTS)
    assert all(finding.claim for finding in check(sound()))


@pytest.mark.parametrize("name", DOCTORS)
def test_doctored_evidence_breaks_the_invariant(name: str) -> None:
    evidence = sound()
    DOCTORS[name](evidence)
    (finding,) = [finding for finding in check(evidence) if finding.name == name]
    assert finding.breaches


def test_an_invariant_without_a_case_is_not_green() -> None:
    def of_nothing(_: Evidence) -> Iterator[str | None]:
        """Nothing is ever looked at."""
        yield from ()

    (finding,) = check(sound(), [of_nothing])
    assert not finding.green
    assert not finding.breaches


UNLAWFUL = [
    ("order-cancelled",),
    ("order-created", "order-created"),
    ("order-created", "payment-captured"),
    ("order-created", "order-cancelled", "payment-auth-in-progress"),
    ("order-created", "order-cancelled", "order-cancelled"),
    ("order-created", "payment-auth-in-progress", "payment-updated"),
    (*PREPARED[:3], "payment-auth-failed"),
    (*PREPARED[:3], "payment-refund-in-progress"),
    (*PREPARED[:3], "order-cancelled", "shipping-preparation-in-progress"),
    (*PREPARED[:4], "shipping-address-updated"),
    (*PREPARED[:4], "shipped"),
    (*PREPARED, "order-cancelled"),
    (*PREPARED, "shipped", "shipped"),
    (*REFUNDED, "payment-refunded"),
]


@pytest.mark.parametrize("types", UNLAWFUL, ids=" ".join)
def test_an_unlawful_history_is_seen_at_its_last_event(types: tuple[str, ...]) -> None:
    assert wrong_at(types[:-1]) is None
    assert wrong_at(types) is not None


@pytest.mark.parametrize("types", [PREPARED, (*PREPARED, "shipped"), REFUNDED])
def test_a_lawful_history_is_not_complained_about(types: tuple[str, ...]) -> None:
    assert wrong_at(types) is None
