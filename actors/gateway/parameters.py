"""Query parameters, checked; a refusal names the parameter and never repeats its value."""

import re
from collections.abc import Sequence
from typing import TypeVar

from actors.domain.event_json import unix_ms
from actors.domain.order import STATUSES
from actors.gateway.auth import is_order_id
from actors.gateway.problems import FieldError, invalid
from actors.tree_desk import PATH_PATTERN
from runtime.errors import Unprocessable

T = TypeVar("T", bound=str)

_WHOLE = re.compile("[0-9]{1,9}")
_STATUSES = tuple(name for name, _ in STATUSES)


def whole(name: str, text: str, least: int = 0, most: int = 999_999_999) -> int:
    """Return a whole number within bounds; Rejection(validation-failed) for anything else."""
    if not _WHOLE.fullmatch(text) or not least <= int(text) <= most:
        detail = f"must be a whole number from {least} to {most}"
        raise invalid(FieldError("range", detail, parameter=name))
    return int(text)


def time_ms(name: str, text: str) -> int:
    """Return an RFC 3339 time as Unix milliseconds; Rejection(validation-failed).

    A ``+`` that was not percent-encoded arrives as a space, and is taken for the plus it was.
    """
    try:
        return unix_ms(text.replace(" ", "+"))
    except Unprocessable:
        detail = "must be a version, or" if name == "at" else "must be"
        detail = f"{detail} a time with its offset (RFC 3339), such as 2026-11-22T14:05:20.134Z"
        raise invalid(FieldError("time", detail, parameter=name)) from None


def choice(name: str, text: str, choices: Sequence[T]) -> T:
    """Return the one that is meant; Rejection(validation-failed)."""
    for one in choices:
        if one == text:
            return one
    raise invalid(FieldError("choice", f"must be one of {', '.join(choices)}", parameter=name))


def order_id(name: str, text: str) -> str:
    """Return an order's id; Rejection(validation-failed) for what can be none."""
    if not is_order_id(text):
        raise invalid(FieldError("pattern", "must be an order's id", parameter=name))
    return text


def actor(name: str, text: str) -> str:
    """Return a path in a supervision tree; Rejection(validation-failed) for what can be none."""
    if len(text) > 300 or not re.fullmatch(PATH_PATTERN, text):
        raise invalid(FieldError("pattern", "must be an actor's path", parameter=name))
    return text


def words(name: str, text: str, most: int) -> str:
    """Return a text of ``most`` characters at most; Rejection(validation-failed)."""
    if len(text) > most:
        detail = f"must have {most} characters at most"
        raise invalid(FieldError("too-long", detail, parameter=name))
    return text


def status(name: str, text: str | None) -> str | None:
    """Return an order status, or None for none; Rejection(validation-failed)."""
    if text is None or text in _STATUSES:
        return text
    detail = f"must be one of {', '.join(_STATUSES)}"
    raise invalid(FieldError("choice", detail, parameter=name))
