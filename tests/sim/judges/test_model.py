"""The small model of one order: which ends it allows, and which no order of commands leads to."""

import math

import pytest

from sim.history import Answered, Command
from sim.judges.model import Intent, State, intent_of, reaches

START = State(card="pm_card_visa")
PREPARED = State(
    payment="captured", shipping="prepared", card="pm_card_visa", charged="pm_card_visa",
    sent_to="place",
)  # fmt: skip
DECLINED = State(payment="card_declined", card="pm_card_declined", charged="pm_card_declined")


def asked(
    kind: str, mark: str = "", *, no: bool = False, at: float = 0.0, to: float = 9.0
) -> Intent:
    return Intent(kind, mark, not no, at, to)


ALLOWED = {
    "nobody asks for anything": ([], PREPARED),
    "cancelled before it began": ([asked("cancel")], State(cancelled=True, card="pm_card_visa")),
    "cancelled during payment, and given up": (
        [asked("cancel")],
        State(
            cancelled=True, payment="order-cancelled", card="pm_card_visa",
            charged="pm_card_visa",
        ),
    ),
    "captured although it was cancelled, hence refunded": (
        [asked("cancel")],
        State(
            cancelled=True, payment="captured", refunded=True, card="pm_card_visa",
            charged="pm_card_visa",
        ),
    ),
    "refused after shipping began": ([asked("cancel", no=True)], PREPARED),
    "another card in time": (
        [asked("pay", "pm_card_declined")],
        State(payment="card_declined", card="pm_card_declined", charged="pm_card_declined"),
    ),
    "another card too late": ([asked("pay", "pm_card_declined", no=True)], PREPARED),
    "moved, then shipped": (
        [asked("move", "Moved"), asked("ship", "T1")],
        State(
            payment="captured", shipping="prepared", card="pm_card_visa", charged="pm_card_visa",
            address="Moved", sent_to="Moved", shipped="T1",
        ),
    ),
    "shipped once, and told so again": (
        [asked("ship", "T1"), asked("ship", "T1"), asked("ship", "T2", no=True)],
        State(
            payment="captured", shipping="prepared", card="pm_card_visa", charged="pm_card_visa",
            sent_to="place", shipped="T1",
        ),
    ),
}  # fmt: skip
FORBIDDEN = {
    "prepared though cancelled": (
        [asked("cancel")],
        State(
            cancelled=True, payment="captured", shipping="prepared", card="pm_card_visa",
            charged="pm_card_visa", sent_to="place",
        ),
    ),
    "refunded though never cancelled": (
        [],
        State(payment="captured", refunded=True, card="pm_card_visa", charged="pm_card_visa"),
    ),
    "cancelled, and the client was told no": (
        [asked("cancel", no=True)],
        State(cancelled=True, card="pm_card_visa"),
    ),
    "accepted, and nothing came of it": ([asked("cancel")], PREPARED),
    "charged to the card before the one that was accepted": (
        [asked("pay", "pm_card_declined")],
        State(
            payment="captured", shipping="prepared", card="pm_card_declined",
            charged="pm_card_visa", sent_to="place",
        ),
    ),
    "sent to where nobody lives any more": (
        [asked("move", "Moved")],
        State(
            payment="captured", shipping="prepared", card="pm_card_visa", charged="pm_card_visa",
            address="Moved", sent_to="place",
        ),
    ),
    "moved after the cancel was answered": (
        [asked("cancel", at=0.0, to=1.0), asked("move", "Moved", at=2.0, to=3.0)],
        State(cancelled=True, card="pm_card_visa", address="Moved"),
    ),
    "shipped with two numbers": (
        [asked("ship", "T1"), asked("ship", "T2")],
        State(
            payment="captured", shipping="prepared", card="pm_card_visa", charged="pm_card_visa",
            sent_to="place", shipped="T2",
        ),
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", ALLOWED)
def test_what_some_order_of_commands_leads_to_is_allowed(case: str) -> None:
    intents, end = ALLOWED[case]
    assert reaches(START, intents, end)


@pytest.mark.parametrize("case", FORBIDDEN)
def test_what_no_order_of_commands_leads_to_is_not(case: str) -> None:
    intents, end = FORBIDDEN[case]
    assert not reaches(START, intents, end)


def test_at_the_same_time_either_order_will_do() -> None:
    end = State(cancelled=True, card="pm_card_visa", address="Moved")
    both = [asked("cancel", at=0.0, to=3.0), asked("move", "Moved", at=2.0, to=4.0)]
    assert reaches(START, both, end)


def test_who_is_told_not_yet_and_asks_again_is_answered_when_told_yes() -> None:
    answers = (Answered("ship", 1, 409, at=2.0), Answered("ship", 2, 200, at=7.0))
    body = {"carrier": "Millrace", "tracking": "T1"}
    ship = Command("ship", "ship", "o1", "T1", False, body, 2, answers, sent_at=1.0)
    assert intent_of(ship) == Intent("ship", "T1", True, 1.0, 7.0)


def test_a_declined_card_is_the_end_of_payment() -> None:
    assert reaches(State(card="pm_card_declined"), [], DECLINED)
    assert not reaches(State(card="pm_card_declined"), [], PREPARED)


def test_what_a_client_was_never_told_of_has_happened_or_not_but_only_where_it_may() -> None:
    unknown = [Intent("cancel", "", None, 0.0, math.inf)]
    assert reaches(START, unknown, PREPARED)
    assert reaches(START, unknown, State(cancelled=True, card="pm_card_visa"))
    cancelled = [asked("cancel", to=1.0), Intent("move", "Moved", None, 2.0, math.inf)]
    moved = State(cancelled=True, card="pm_card_visa", address="Moved")
    assert not reaches(START, cancelled, moved), "it came after the cancel"
