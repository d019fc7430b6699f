"""The event table is the specification's, and bodies survive their encoding."""

from contextlib import suppress

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.domain.events import (
    EVENT_TYPES,
    TYPE_OF_BODY,
    Body,
    OrderCancelled,
    PaymentAuthInProgress,
    Shipped,
    decode_body,
    decode_message,
    encode_body,
    encode_message,
)
from runtime.errors import Unprocessable
from tests.harness.orders import SAMPLES

PUBLISHED = {
    "order-created": "orders.order-created",
    "order-cancelled": "orders.order-cancelled",
    "payment-captured": "payment.payment-captured",
    "payment-auth-failed": "payment.payment-auth-failed",
    "shipped": "shipping.shipped",
}
WRITERS = {
    "order-event-service": {
        "order-created",
        "order-cancelled",
        "payment-updated",
        "shipping-address-updated",
    },
    "payment-service": {
        "payment-auth-in-progress",
        "payment-captured",
        "payment-auth-failed",
        "payment-refund-in-progress",
        "payment-refunded",
    },
    "shipping-service": {"shipping-preparation-in-progress", "shipping-prepared", "shipped"},
}


def test_what_is_published_and_under_which_key_is_the_specifications() -> None:
    routing = {name: row.routing_key for name, row in EVENT_TYPES.items() if row.exchange}
    assert routing == PUBLISHED


def test_each_event_has_one_writer() -> None:
    by_writer: dict[str, set[str]] = {}
    for name, row in EVENT_TYPES.items():
        by_writer.setdefault(row.app_id, set()).add(name)
    assert by_writer == WRITERS


def test_message_types_carry_the_version() -> None:
    assert EVENT_TYPES["order-created"].message_type == "order-created/v1"
    assert len({row.body for row in EVENT_TYPES.values()}) == len(TYPE_OF_BODY) == 12


@pytest.mark.parametrize("name", SAMPLES)
def test_a_body_survives_encoding_and_its_bytes_are_stable(name: str) -> None:
    body = SAMPLES[name]
    data = encode_body(body)
    assert decode_body(name, 1, data) == body
    assert encode_body(decode_body(name, 1, data)) == data


@given(st.sampled_from(sorted(SAMPLES)), st.dictionaries(st.text(max_size=9), st.integers()))
def test_a_stored_body_may_have_fields_of_a_later_program(name: str, extra: dict[str, int]) -> None:
    fields = {**extra, **msgspec.to_builtins(SAMPLES[name])}
    try:
        data = msgspec.json.encode(fields)
    except UnicodeEncodeError:  # a lone surrogate is no text that could be stored
        return
    assert decode_body(name, 1, data) == SAMPLES[name]


@pytest.mark.parametrize(("name", "version"), [("order-created", 2), ("order-lost", 1), ("", 0)])
def test_an_unknown_type_or_version_cannot_be_read(name: str, version: int) -> None:
    with pytest.raises(Unprocessable) as caught:
        decode_body(name, version, b"{}")
    assert caught.value.reason == "unknown-version"


MALFORMED = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'"text"',
    b"\xff\xfe",
    b'{"attempt": "\xff"}',
    b'{"attempt": 1.5}',
    b'{"attempt": true}',
    b'{"attempt": 0}',
    b'{"attempt": 1' + b"0" * 400 + b"}",
    b"[" * 100_000,
    b'{"attempt": ' + b"[" * 100_000,
    b'{"x": ' + b'{"x": ' * 100_000,
]


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_body_is_unprocessable_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Unprocessable) as caught:
        decode_body("payment-auth-in-progress", 1, data)
    assert caught.value.reason == "malformed"


@pytest.mark.parametrize("data", MALFORMED, ids=range(len(MALFORMED)))
def test_a_malformed_message_is_unprocessable_and_nothing_else(data: bytes) -> None:
    with pytest.raises(Unprocessable) as caught:
        decode_message(data)
    assert caught.value.reason == "malformed"


@given(st.binary(max_size=60))
def test_no_bytes_make_the_readers_fail_in_another_way(data: bytes) -> None:
    for read in (decode_message, lambda raw: decode_body("shipped", 1, raw)):
        with suppress(Unprocessable):
            read(data)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_message_carries_order_version_and_body(name: str) -> None:
    body = encode_message("ord_1", 7, encode_body(SAMPLES[name]))
    message = decode_message(body)
    assert (message.order_id, message.version) == ("ord_1", 7)
    assert decode_body(name, 1, message.data) == SAMPLES[name]
    assert body == encode_message("ord_1", 7, encode_body(SAMPLES[name]))


@pytest.mark.parametrize(
    "body",
    [
        Shipped("", "JJD1"),
        Shipped("D" * 41, "JJD1"),
        Shipped("DHL", ""),
        Shipped("DHL", "J" * 65),
        Shipped("DHL\x00", "JJD1"),
        Shipped("DHL", "JJD1\n"),
        OrderCancelled("customer", "r" * 201),
        OrderCancelled("customer", "because\x07"),
        PaymentAuthInProgress(0),
    ],
)
def test_a_body_made_in_code_is_checked_when_it_is_read_back(body: Body) -> None:
    with pytest.raises(Unprocessable):
        decode_body(TYPE_OF_BODY[type(body)].name, 1, encode_body(body))
