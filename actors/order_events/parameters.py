"""Query parameters of the internal API, read strictly: a wrong one is refused and named."""

import msgspec
from quart import request

from actors.domain.event_json import unix_ms
from actors.domain.order_events import OrderQuery, PersonalKind
from runtime.errors import Rejection, Unprocessable

_NUMBER_MAX = 2**53


def _invalid(name: str, wanted: str) -> Rejection:
    details = {"parameter": name}
    message = f"The parameter `{name}` must be {wanted}."
    return Rejection("validation-failed", message, status_hint=422, details=details)


def number(name: str, default: int) -> int:
    """Return a whole number from 0 on."""
    found = optional_number(name)
    return default if found is None else found


def optional_number(name: str) -> int | None:
    """Return a whole number from 0 on, or None where the parameter is missing."""
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 16) or int(text) > _NUMBER_MAX:
        raise _invalid(name, "a whole number")
    return int(text)


def seconds(name: str) -> float:
    """Return a number of seconds from 0 to 60, such as 2.5; 0 where it is missing."""
    text = request.args.get(name, "0")
    whole, _, fraction = text.partition(".")
    digits = whole + fraction
    if not (digits.isascii() and digits.isdecimal() and len(text) <= 8) or float(text) > 60:
        raise _invalid(name, "a number of seconds from 0 to 60")
    return float(text)


def moment() -> tuple[int | None, int | None]:
    """Return the version or the Unix time in ms that an order is asked for at.

    People write ``at=3`` or ``at=2026-11-22T14:05:20Z``; programs ``at_version`` or ``at_ms``.
    """
    at_version, at_ms = optional_number("at_version"), optional_number("at_ms")
    text = request.args.get("at")
    if text is None:
        return at_version, at_ms
    if text.isascii() and text.isdecimal():
        return optional_number("at"), at_ms
    try:
        return at_version, unix_ms(text)
    except Unprocessable as error:
        raise _invalid("at", "a version, or a time as in RFC 3339") from error


def kinds() -> tuple[PersonalKind, ...]:
    """Return which personal data are asked for."""
    try:
        return msgspec.convert(tuple(request.args.getlist("kind")), tuple[PersonalKind, ...])
    except msgspec.ValidationError as error:
        raise _invalid("kind", "customer, address or payment") from error


def order_query() -> OrderQuery:
    """Return the filters of the order list."""
    return OrderQuery(
        status=request.args.get("status"),
        email=request.args.get("email"),
        since_ms=optional_number("since_ms"),
        before=optional_number("before"),
        limit=number("limit", 50),
    )
