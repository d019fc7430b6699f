"""The checker is checked: doctored ledgers make each of its invariants fail, one by one."""

import json
from collections.abc import Callable, Iterator
from copy import deepcopy
from typing import Any

import msgspec
import pytest

from sim.history import Answered
from sim.judges.checker import INVARIANTS, check
from sim.judges.evidence import DeadLetter, EventRow, Evidence
from sim.judges.parties import shipped_to_the_address_at_the_lock
from sim.judges.rest import only_bad_messages_were_parked
from sim.judges.words import wrong_at
from tests.sim.judges.sound import PREPARED, REFUNDED, sound

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
    "cancelled_and_captured_is_refunded": lambda e: e.operations.pop(),
    "no_refund_without_a_cancel": lambda e: set_to(e.operations, -1, of="o1-capture"),
    "a_reservation_is_used_or_given_up": lambda e: again(e.operations, 1, id="x", kind="void"),
    "the_card_is_the_one_at_the_lock": lambda e: set_to(e.operations, 0, token="pm_card_flaky"),
    "the_ledger_is_before_the_fact": lambda e: set_to(e.operations, 1, at_ms=9999),
    "shipped_to_the_address_at_the_lock": lambda e: set_to(e.parcels, 0, address={"line1": "x"}),
    "no_mail_twice": lambda e: again(e.mails, 0),
    "mails_are_what_the_log_implies": lambda e: e.mails.pop(),
    "no_mail_without_a_reason": lambda e: set_to(e.mails, 0, name="o1.x.order-shipped"),
    "the_mail_journal_agrees": lambda e: set_to(e.mail_rows, 0, state="sending"),
    "every_order_is_where_it_belongs": lambda e: e.events.pop(4),
    "every_message_was_done_by_whom_it_concerns": lambda e: e.inbox["payment"].popitem(),
    "the_outbox_is_empty": lambda e: e.outbox.append("1"),
    "the_holds_are_empty": lambda e: e.holds.update(payment=1),
    "the_payment_journal_is_empty": lambda e: e.calls.append("o1/capture/1"),
    "the_queues_are_empty": lambda e: e.queues.update(payment=1),
    "only_bad_messages_were_parked": lambda e: e.queues.update({"payment.dead": 1}),
    "no_lock_is_without_an_owner": lambda e: e.events.pop(),
    "nothing_is_changed_after_its_lock": lambda e: cancel_prepared(e),
    "every_end_is_one_that_the_model_allows": lambda e: e.operations.pop(1),
    "the_files_are_sound": lambda e: e.faults.update({"orders.db": "malformed"}),
}


def test_sound_evidence_passes_every_invariant_and_evaluates_each() -> None:
    findings = check(sound())
    assert [finding for finding in findings if not finding.green] == []


def test_there_is_a_doctor_for_every_invariant_and_every_one_states_its_claim() -> None:
    assert sorted(DOCTORS) == sorted(invariant.__name__ for invariant in INVARIANTS)
    assert all(finding.claim for finding in check(sound()))


def letter(evidence: Evidence, **changes: object) -> None:
    """Have the message of an event in the log lie among the dead letters."""
    created = event(evidence, "o1-order-created")
    said = {"order_id": "o1", "version": 1, "data": created.data}
    body = json.dumps(said).encode()
    good = DeadLetter("payment.dead", created.id, "order-created/v1", "exhausted", body)
    evidence.dead_letters.append(msgspec.structs.replace(good, **changes))
    evidence.queues["payment.dead"] = len(evidence.dead_letters)


@pytest.mark.parametrize(
    ("changes", "bad"),
    [
        ({}, False),
        ({"id": "nobody's"}, True),
        ({"type": "order-created/v99"}, True),
        ({"body": b"{"}, True),
        ({"body": b'{"order_id": "o2"}'}, True),
    ],
)
def test_only_what_is_provably_bad_may_be_a_dead_letter(changes: Any, bad: bool) -> None:
    evidence = sound()
    letter(evidence, **changes)
    (finding,) = check(evidence, [only_bad_messages_were_parked])
    assert finding.green == bad


def test_the_card_that_nobody_can_read_may_be_parked_with_its_lock() -> None:
    evidence = sound()
    letter(evidence)
    evidence.vault["o1-card"] = "pm_card_poison"
    (finding,) = check(evidence, [only_bad_messages_were_parked])
    assert finding.green


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


def test_a_parcel_whose_shipping_was_never_told_is_judged_by_its_lock() -> None:
    evidence = sound()
    order_id = evidence.parcels[0].order_id
    events = [one for one in evidence.events if one.order_id == order_id]
    gone = [one for one in events if one.type in ("shipping-prepared", "shipped")]
    evidence.events = [one for one in evidence.events if one not in gone]
    judges = [shipped_to_the_address_at_the_lock]
    assert check(evidence, judges)[0].green
    set_to(evidence.parcels, 0, address={"line1": "x"})
    assert check(evidence, judges)[0].breaches
