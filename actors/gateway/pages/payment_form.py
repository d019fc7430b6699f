"""How a card is chosen on a page: a test card by its chip, or a number that is typed.

A number and a security code that were typed never go back to the browser, not even where the form
is shown again.
"""

import re
from typing import Literal

import msgspec

from actors.domain.cards import TEST_CARDS, TestCard
from actors.gateway.pages.forms import Form
from actors.gateway.problems import FieldError
from actors.gateway.requests import Card, Payment

TYPED = "card"
LABELS = {
    "token": "Test card",
    "number": "Card number",
    "expiry": "Valid until",
    "cvc": "Security code",
}
_TITLES = {
    "pm_card_visa": "Approved",
    "pm_card_declined": "Declined",
    "pm_card_insufficient": "Not enough money",
    "pm_card_expired": "Card expired",
    "pm_card_cvc": "Wrong security code",
    "pm_card_processing": "Processing error",
    "pm_card_flaky": "Bank away, then approved",
    "pm_card_refund_flaky": "Approved, refund fails thrice",
    "pm_card_slow": "Approved after 20 s",
    "pm_card_poison": "Answer is unreadable",
}
_EXPIRY = re.compile(r"(\d{1,2})\s*[/.-]?\s*(\d{4}|\d{2})", re.ASCII)
_POINTERS = {
    "number": "number",
    "exp_month": "expiry",
    "exp_year": "expiry",
    "cvc": "cvc",
    "token": "token",
}


class Chip(msgspec.Struct, frozen=True):
    """One test card, as it is offered; ``number`` is grouped, or None where it has none."""

    token: str
    title: str
    subtitle: str
    number: str | None


def chips(mode: Literal["test", "live"]) -> list[Chip]:
    """Return the test cards, where there are any."""
    if mode != "test":
        return []
    return [_chip(card) for card in TEST_CARDS]


def _chip(card: TestCard) -> Chip:
    number = None if card.number is None else _grouped(card.number)
    subtitle = "no number" if number is None else f"ends in {card.last4}"
    return Chip(card.token, _TITLES[card.token], subtitle, number)


def _grouped(digits: str) -> str:
    return " ".join(digits[place : place + 4] for place in range(0, len(digits), 4))


def read_payment(form: Form) -> tuple[Payment | None, dict[str, str]]:
    """Return what is to be paid with, or what is wrong with which field."""
    token = form.text("token")
    if token and token != TYPED:
        try:
            return msgspec.convert({"token": token}, Payment), {}
        except msgspec.ValidationError:
            return None, {"token": "Choose one of the cards."}
    return _typed(form)


def _typed(form: Form) -> tuple[Payment | None, dict[str, str]]:
    errors: dict[str, str] = {}
    expiry = _EXPIRY.fullmatch(form.text("expiry"))
    month, year = (int(expiry[1]), int(expiry[2])) if expiry else (0, 0)
    card: dict[str, object] = {"number": form.text("number"), "cvc": form.text("cvc")}
    card |= {"exp_month": month, "exp_year": year + 2000 if year < 100 else year}
    fits = {"number": "4242 4242 4242 4242", "cvc": "123", "exp_month": 1, "exp_year": 2099}
    for name, sentence in (
        ("number", "Enter the number on the front of the card."),
        ("exp_month", "Enter month and year, such as 09/31."),
        ("exp_year", "Enter month and year, such as 09/31."),
        ("cvc", "Enter the three or four digits on the back."),
    ):
        if not _fits({**fits, name: card[name]}):
            errors.setdefault(_POINTERS[name], sentence)
    return (None if errors else msgspec.convert({"card": card}, Payment)), errors


def _fits(card: dict[str, object]) -> bool:
    try:
        msgspec.convert(card, Card)
    except msgspec.ValidationError:
        return False
    return True


def refused_card(error: FieldError) -> dict[str, str]:
    """Return what to say beside which field where the card itself is refused."""
    name = _POINTERS.get((error.pointer or "").rpartition("/")[2], "number")
    said = {
        "unknown-card": "This is not a test card. Real cards are not taken here.",
        "check-digit": "This number has a typing error: its check digit is wrong.",
        "expired": "This card has expired.",
    }
    return {name: said.get(error.code, "Choose one of the cards.")}
