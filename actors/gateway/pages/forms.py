"""A browser's form: read within bounds, and its fields checked by the types that the API uses.

The API refuses a request at its first mistake; a person wants to see all of them, so each field is
also tried by itself, beside values that are valid.
"""

from collections.abc import Mapping
from typing import TypeVar, cast
from urllib.parse import parse_qsl

import msgspec
from quart import request
from werkzeug.exceptions import UnsupportedMediaType

from actors.gateway.decoding import field_error
from actors.gateway.problems import FieldError
from runtime.errors import Rejection

S = TypeVar("S", bound=msgspec.Struct)

FIELDS_MAX = 200


class Form:
    """The fields of one submitted form. A field that was not sent is empty."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        self.fields = fields

    def text(self, name: str) -> str:
        """Return a field without the spaces around it."""
        return self.fields.get(name, "").strip()

    def whole(self, name: str, least: int, most: int) -> int | None:
        """Return a whole number within bounds; None where the field is anything else."""
        text = self.text(name)
        if not (text.isascii() and text.isdecimal() and len(text) <= 9):
            return None
        return int(text) if least <= int(text) <= most else None


async def read_form() -> Form:
    """Return the form that was submitted; 413, 415, or Rejection bad-request where it is none."""
    body = cast("bytes", await request.get_data(cache=False))
    if request.mimetype != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=FIELDS_MAX,
        )
    except ValueError:
        message = "The form cannot be read as form fields in UTF-8."
        raise Rejection("bad-request", message, status_hint=400) from None
    return Form(dict(pairs))


def convert(
    fields: Mapping[str, str],
    kind: type[S],
    valid: Mapping[str, str],
    sentences: Mapping[str, str],
) -> tuple[S | None, dict[str, str]]:
    """Return the struct, or None and what is wrong with which fields, in the order of ``valid``.

    ``valid`` holds a value for each field that the struct takes for sure; ``sentences`` say what to
    enter where a field is empty. Optional fields that are empty are left out.
    """
    given = {name: text for name, text in fields.items() if text or name in sentences}
    errors: dict[str, str] = {}
    for name in valid:
        if name in given:
            _, error = _attempt({**valid, name: given[name]}, kind)
            if error is not None:
                errors[name] = sentence(error, given[name], sentences.get(name, ""))
    if errors:
        return None, errors
    converted, error = _attempt(given, kind)
    assert error is None, f"{kind.__name__}: every field is valid, and together they are not"
    return converted, {}


def _attempt(given: Mapping[str, str], kind: type[S]) -> tuple[S | None, FieldError | None]:
    try:
        return msgspec.convert(given, kind), None
    except msgspec.ValidationError as error:
        return None, field_error(str(error))


def sentence(error: FieldError, given: str, empty: str = "") -> str:
    """Return what to say beside a field."""
    if not given and empty:
        return empty
    return f"This {error.detail}."
