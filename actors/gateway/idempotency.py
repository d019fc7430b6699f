"""How a repeated request is recognised: by its key, its caller, its route and its decoded body.

The record itself lives with the events, in the transaction of the append. What is kept of a key is
its HMAC, and of a body likewise: bodies hold card numbers, whose bare hash could be undone by
trying all of them. The fingerprint is taken of the decoded body, since JSON has many spellings, and
before the card is swapped for a token, since two tokens of one card may differ.
"""

import re
from collections.abc import Iterator

import msgspec

from actors.domain.order_events import Intent
from actors.domain.values import is_issued_card_number
from actors.gateway.auth import Principal, derived_key, mac
from actors.gateway.problems import FieldError, invalid
from runtime import tracing

_VISIBLE = re.compile(r"[\x21-\x7e]{1,255}")
_UUID = re.compile(r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
# Digits inside a longer run of letters and digits are not a number: a hash or a ULID has such runs.
_RUN = re.compile(r"(?<![0-9A-Za-z])[0-9]+(?:[ -][0-9]+)*(?![0-9A-Za-z])")
_GROUP_MIN = 4
_encode = msgspec.json.Encoder(order="deterministic").encode


def names_card_number(text: str) -> bool:
    """Whether a header's value spells a card number; ids that merely hold many digits do not.

    >>> names_card_number("order-4242 4242 4242 4242")
    True
    >>> names_card_number("4242-4242-4242-4242-1")  # a second attempt, say
    True
    >>> names_card_number("550e8400-e29b-41d4-a716-446655440000")
    False
    >>> names_card_number("1732640000003")  # a time; a tenth of those have a right check digit
    False
    """
    if _UUID.fullmatch(text):
        return False
    return any(
        is_issued_card_number(number)
        for run in _RUN.finditer(text)
        for number in _numbers(re.split("[ -]", run.group()))
    )


def _numbers(groups: list[str]) -> Iterator[str]:
    """Yield what groups of digits may spell: all of them, or some, as cards are printed."""
    yield "".join(groups)
    for i in range(len(groups)):
        for j in range(i + 1, len(groups) + 1):
            if len(groups[j - 1]) < _GROUP_MIN:  # parts of a date or a time
                break
            yield "".join(groups[i:j])


def parse_key(value: str | None) -> str | None:
    """Return the key of the Idempotency-Key header, which may be quoted; None without one."""
    if value is None:
        return None
    key = value
    if len(key) > 2 and key[0] == key[-1] == '"':
        key = key[1:-1]
    if not _VISIBLE.fullmatch(key):
        detail = "must be given once, as 1 to 255 visible ASCII characters"
        raise invalid(FieldError("pattern", detail, header="Idempotency-Key"))
    if names_card_number(key):
        detail = "must not hold a payment card number"
        raise invalid(FieldError("invalid", detail, header="Idempotency-Key"))
    return key


class Intents:
    """Makes the `Intent` of a request: keys and fingerprints are MACs under the given secret."""

    def __init__(self, secret: str) -> None:
        self._key = derived_key(secret, "idempotency-key")
        self._fingerprint = derived_key(secret, "fingerprint")

    def intent(
        self,
        principal: Principal,
        route: str,
        body: msgspec.Struct,
        *,
        key: str | None,
        correlation_id: str,
        expected_version: int | None = None,
    ) -> Intent:
        """Return who asks for what; ``route`` is method and path, ``body`` the decoded request.

        What follows from it belongs to the trace of the request at hand.
        """
        return Intent(
            principal=principal.name,
            route=route,
            correlation_id=correlation_id,
            key=None if key is None else mac(self._key, key.encode()).hex(),
            fingerprint=None if key is None else mac(self._fingerprint, _encode(body)).hex(),
            expected_version=expected_version,
            traceparent=tracing.current(),
            tracestate=tracing.current_state(),
        )
