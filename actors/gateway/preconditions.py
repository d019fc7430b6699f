"""ETags: an order's version is its ETag, so a client can say which order it has seen."""

import re

from actors.gateway.problems import FieldError, invalid
from runtime.errors import Rejection

_STRONG_VERSION = re.compile(r'"([0-9]{1,9})"')
_TAG = re.compile(r'(?:W/)?("[\x21\x23-\x7e\x80-\xff]*")')


def etag(version: int) -> str:
    """Return the ETag of an order at a version."""
    return f'"{version}"'


def expected_version(if_match: str | None, *, required: bool) -> int | None:
    """Return the version that If-Match names; None without one, or for ``*``.

    Rejection(precondition-required) where there must be one.
    """
    if if_match is None:
        if required:
            raise Rejection(
                "precondition-required",
                "If-Match with the order's ETag is required.",
                status_hint=428,
            )
        return None
    text = if_match.strip()
    if text == "*":
        return None
    found = _STRONG_VERSION.fullmatch(text)
    if found is None:
        detail = 'must be one strong ETag of the order, such as "3"'
        raise invalid(FieldError("pattern", detail, header="If-Match"))
    return int(found[1])


def is_unchanged(if_none_match: str | None, current: str) -> bool:
    """Whether the client has this ETag already (RFC 9110, 13.1.2: compared weakly)."""
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or current in _TAG.findall(if_none_match)
