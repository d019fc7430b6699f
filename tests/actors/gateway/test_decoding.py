"""What a decoding error says: which field, which rule, and nothing of the input."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.gateway.decoding import decode, field_error
from actors.gateway.problems import FieldError
from actors.gateway.requests import PlaceRequest
from runtime.errors import Rejection

DECODER = msgspec.json.Decoder(PlaceRequest)
SECRET = "hunter2"


def refused(body: bytes) -> Rejection:
    with pytest.raises(Rejection) as found:
        decode(DECODER, body)
    return found.value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nope",
        b"\xff",
        b'{"customer":"\\ud800"}',
        b'{"customer":{"name":"a\xff"}}',
        b'{"x":' + b"[" * 100_000,
    ],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    found = refused(body)
    assert (found.code, found.status_hint) in (
        ("malformed-json", 400),
        ("validation-failed", 422),
    )
    assert found.code == "malformed-json" or body.startswith(b'{"x":')


@pytest.mark.parametrize(
    ("message", "pointer", "code", "detail"),
    [
        (
            "Object missing required field `x` - at `$.a[2].b`",
            "#/a/2/b/x",
            "required",
            "is missing",
        ),
        ("Object missing required field `x`", "#/x", "required", "is missing"),
        (
            "Object contains unknown field `hunter2` - at `$.a`",
            "#/a",
            "unknown-field",
            "holds an unknown field",
        ),
        ("Expected `int` >= 1 - at `$.q`", "#/q", "minimum", "must be at least 1"),
        ("Expected `int`, got `str` - at `$.q`", "#/q", "type", "must be of type int"),
        (
            "Expected `object | null`, got `int`",
            "#",
            "type",
            "must be of type object | null",
        ),
        (
            "`email` must be exactly one e-mail address - at `$.customer`",
            "#/customer/email",
            "invalid",
            "must be exactly one e-mail address",
        ),
        ("Invalid enum value 'hunter2' - at `$.e`", "#/e", "invalid", "is not valid"),
        ("hunter2", "#", "invalid", "is not valid"),
    ],
)
def test_a_message_becomes_a_field_and_a_rule(
    message: str, pointer: str, code: str, detail: str
) -> None:
    assert field_error(message) == FieldError(code, detail, pointer=pointer)


@given(st.text())
def test_no_message_is_too_odd(message: str) -> None:
    found = field_error(message + SECRET)
    assert found.pointer is not None


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just(SECRET),
        lambda inner: st.lists(inner) | st.dictionaries(st.just(SECRET), inner),
        max_leaves=5,
    ),
    st.sampled_from(["customer", "items", "shipping_address", "payment", "expected_total", SECRET]),
)
def test_the_input_is_never_repeated(value: object, field: str) -> None:
    found = refused(msgspec.json.encode({field: value}))
    assert SECRET not in str(found)
    assert SECRET not in msgspec.json.encode(found.details).decode()
    assert found.__cause__ is None
