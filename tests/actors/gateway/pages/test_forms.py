"""Fields are checked by the types of the API, each by itself, and empty ones say what to enter."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.values import Address
from actors.gateway.pages import address_form, payment_form
from actors.gateway.pages.forms import Form, convert
from actors.gateway.requests import CancelRequest

ADDRESS = {"name": "A", "line1": "1", "postal_code": "1", "city": "C", "country": "DE"}
TEXTS = st.text(st.characters(codec="utf-8"), max_size=140)


def test_what_is_valid_is_converted_and_empty_options_are_left_out() -> None:
    address, errors = address_form.read_address(Form({**ADDRESS, "line2": "  ", "region": ""}))
    assert (address, errors) == (msgspec.convert(ADDRESS, Address), {})


def test_every_mistake_is_found_in_the_order_of_the_fields() -> None:
    address, errors = address_form.read_address(Form({"country": "XX", "line2": "\x07"}))
    assert address is None
    assert list(errors) == ["name", "line1", "line2", "postal_code", "city", "country"]
    assert errors["city"] == "Enter the city."
    assert errors["line2"].startswith("This must not hold control")


def test_a_text_that_grows_when_it_is_composed_is_too_long() -> None:
    _, errors = address_form.read_address(Form({**ADDRESS, "name": "\u0958" * 120}))
    assert list(errors) == ["name"]


@given(st.dictionaries(st.sampled_from(sorted(address_form.LABELS)), TEXTS))
def test_whatever_is_typed_is_an_address_or_says_what_is_wrong(fields: dict[str, str]) -> None:
    address, errors = address_form.read_address(Form(fields))
    assert (address is None) == bool(errors)
    assert set(errors) <= set(address_form.LABELS)


@given(st.dictionaries(st.sampled_from(sorted(payment_form.LABELS)), TEXTS))
def test_whatever_is_typed_is_a_card_or_says_what_is_wrong(fields: dict[str, str]) -> None:
    payment, errors = payment_form.read_payment(Form(fields))
    assert (payment is None) == bool(errors)
    assert set(errors) <= set(payment_form.LABELS)


@given(TEXTS)
def test_whatever_is_typed_is_a_reason_or_says_what_is_wrong(text: str) -> None:
    reason, errors = convert({"reason": text}, CancelRequest, {"reason": "-"}, {})
    assert (reason is None) == bool(errors)


@pytest.mark.parametrize(
    ("text", "year", "month"),
    [("09/31", 2031, 9), ("9/31", 2031, 9), ("09/2031", 2031, 9), ("0931", 2031, 9)],
)
def test_an_expiry_is_read_however_it_is_written(text: str, year: int, month: int) -> None:
    typed = {"token": "card", "number": "4242 4242 4242 4242", "cvc": "123", "expiry": text}
    payment, errors = payment_form.read_payment(Form(typed))
    assert errors == {}
    assert payment is not None
    assert payment.card is not None
    assert (payment.card.exp_year, payment.card.exp_month) == (year, month)
