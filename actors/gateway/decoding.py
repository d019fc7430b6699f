"""From a body's bytes to a checked struct, and from a decoding error to a refusal.

There is one decode function because msgspec fails in three ways: `MsgspecError`, and for input
that is not UTF-8 or nested too deeply `UnicodeDecodeError` and `RecursionError` (msgspec 0.22).
Its messages quote the input: nothing of them is passed on but what `_RULES` recognises.
"""

import re
from typing import TypeVar, cast

import msgspec
from quart import request
from werkzeug.exceptions import UnsupportedMediaType

from actors.gateway.context import header
from actors.gateway.problems import FieldError, invalid
from runtime.errors import Rejection

T = TypeVar("T")

_PLACE = re.compile(r"(?P<text>.*?)(?: - at `\$(?P<path>[^`]*)`)?", re.DOTALL)
_OWN = re.compile(r"`(?P<field>\w+)` (?P<detail>must .*)", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<field>\w+)`")
_RULES: tuple[tuple[re.Pattern[str], str, str], ...] = (
    (re.compile(r"Object contains unknown field"), "unknown-field", "holds an unknown field"),
    (re.compile(r"Expected `(?:int|float)` >= (\d+)"), "minimum", "must be at least {}"),
    (re.compile(r"Expected `(?:int|float)` <= (\d+)"), "maximum", "must be at most {}"),
    (
        re.compile(r"Expected `str` of length >= (\d+)"),
        "too-short",
        "must have {} characters or more",
    ),
    (
        re.compile(r"Expected `str` of length <= (\d+)"),
        "too-long",
        "must have {} characters at most",
    ),
    (re.compile(r"Expected `array` of length >= (\d+)"), "too-few", "must hold {} or more"),
    (re.compile(r"Expected `array` of length <= (\d+)"), "too-many", "must hold {} at most"),
    (re.compile(r"Expected `str` matching regex"), "pattern", "does not have the right form"),
    (re.compile(r"Expected `([a-z |]+)`, got"), "type", "must be of type {}"),
    (re.compile(r"(?:Number|Integer value) out of range"), "maximum", "is out of range"),
)


async def read(decoder: msgspec.json.Decoder[T], *, optional: bool = False) -> T:
    """Return the current request's body; 413, 415, or a `Rejection` that says what is wrong.

    ``optional``: no body at all is read as an empty object.
    """
    body = cast("bytes", await request.get_data(cache=False))
    if optional and not body:
        return decode(decoder, b"{}")
    if request.mimetype != "application/json" or header("content-encoding") is not None:
        raise UnsupportedMediaType
    return decode(decoder, body)


def decode(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode a body: ``malformed-json`` where it is not JSON, else ``validation-failed``."""
    wrong = None
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        wrong = field_error(str(error))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    # Out here, where no refusal has the cause that quotes the body, and in no variable: what is
    # raised holds this frame, and only the collector would free what the frame holds.
    if wrong is None:
        detail = "The body cannot be read as JSON in UTF-8."
        raise Rejection("malformed-json", detail, status_hint=400)
    raise invalid(wrong)


def field_error(message: str) -> FieldError:
    """Return what may be said of a validation error's message: our own words only."""
    found = _PLACE.fullmatch(message)
    assert found is not None, "the pattern takes any text"
    text, pointer = found["text"], _pointer(found["path"] or "")
    if own := _OWN.fullmatch(text):
        return FieldError("invalid", own["detail"], pointer=f"{pointer}/{own['field']}")
    if missing := _MISSING.fullmatch(text):
        return FieldError("required", "is missing", pointer=f"{pointer}/{missing['field']}")
    for pattern, code, detail in _RULES:
        if rule := pattern.match(text):
            return FieldError(code, detail.format(*rule.groups()), pointer=pointer)
    return FieldError("invalid", "is not valid", pointer=pointer)


def _pointer(path: str) -> str:
    """A msgspec path such as ``.items[0].sku`` as a JSON pointer in a fragment (RFC 6901, 6)."""
    return "#" + re.sub(r"\[(\d+)\]", r"/\1", path).replace(".", "/")
