"""One published message. Its content header stays as the bytes the publisher sent.

A broker reads four properties only: delivery-mode, expiration, user-id and, for dead letters and
delivery counts, the headers. They are found by skipping, and everything else passes untouched.
AMQP 0-9-1, 4.2.6.1: class, weight, body size, property flags, then the properties present.
"""

import struct

from runtime.broker import tables
from runtime.broker.errors import PRECONDITION_FAILED, SYNTAX_ERROR, BrokerError
from runtime.broker.wire import short

PERSISTENT = 2
EXPIRATION_MS_MAX = 4294967295  # RabbitMQ's MAX_EXPIRY_TIMER

_FLAGS_AT = 12
_PROPERTIES_AT = 14
_SHORT, _TABLE, _OCTET, _TIME = range(4)
# In order of their flags, bit 15 first.
_KINDS = (_SHORT, _SHORT, _TABLE, _OCTET, _OCTET, _SHORT, _SHORT, _SHORT, _SHORT, _TIME, _SHORT,
          _SHORT, _SHORT, _SHORT)  # fmt: skip
_HEADERS, _DELIVERY_MODE, _EXPIRATION, _USER_ID = 2, 3, 7, 11
_LENGTH = struct.Struct(">I")

Spans = dict[int, tuple[int, int]]


class Message:
    """Where it was published, with which content. Never changed once made."""

    __slots__ = ("address", "body", "exchange", "expiration_ms", "header", "persistent",
                 "routing_key", "user_id")  # fmt: skip

    def __init__(self, exchange: str, routing_key: str, header: bytes, body: bytes) -> None:
        """Raises BrokerError where the header, or a table in it, is malformed."""
        self.exchange = exchange
        self.routing_key = routing_key
        self.header = header
        self.body = body
        self.address = short(exchange) + short(routing_key)
        spans = _spans(header)
        if _HEADERS in spans:
            _headers(header, spans[_HEADERS])
        mode = spans.get(_DELIVERY_MODE)
        self.persistent = mode is not None and header[mode[0]] == PERSISTENT
        user = spans.get(_USER_ID)
        self.user_id = _text(header, user) if user else None
        expiration = spans.get(_EXPIRATION)
        self.expiration_ms = _milliseconds(_text(header, expiration)) if expiration else None

    def headers(self) -> tables.Entries:
        """The headers, raw; empty where there are none."""
        span = _spans(self.header).get(_HEADERS)
        return _headers(self.header, span) if span else {}

    def expiration(self) -> str | None:
        """The expiration as it was written."""
        span = _spans(self.header).get(_EXPIRATION)
        return _text(self.header, span) if span else None

    def with_header(self, name: str, value: bytes) -> bytes:
        """Return the content header with one header set."""
        return _rewritten(self.header, {**self.headers(), name: value}, keep_expiration=True)

    def redirected(self, exchange: str, routing_key: str, headers: tables.Entries) -> "Message":
        """Copy for another address, with these headers and without its expiration."""
        header = _rewritten(self.header, headers, keep_expiration=False)
        return Message(exchange, routing_key, header, self.body)


def body_size(header: bytes) -> int:
    """The announced size of the body."""
    if len(header) < _PROPERTIES_AT:
        raise BrokerError(SYNTAX_ERROR, "content header too short")
    size: int = struct.unpack_from(">Q", header, 4)[0]
    return size


def _spans(header: bytes) -> Spans:
    flags = header[_FLAGS_AT] << 8 | header[_FLAGS_AT + 1]
    if flags & 3:
        raise BrokerError(SYNTAX_ERROR, "unknown content properties")
    spans: Spans = {}
    position = _PROPERTIES_AT
    try:
        for number, kind in enumerate(_KINDS):
            if flags & 1 << 15 - number:
                end = _end(header, position, kind)
                spans[number] = (position, end)
                position = end
    except (IndexError, struct.error) as error:
        raise BrokerError(SYNTAX_ERROR, "malformed content properties") from error
    if position > len(header):
        raise BrokerError(SYNTAX_ERROR, "malformed content properties")
    return spans


def _end(header: bytes, position: int, kind: int) -> int:
    if kind == _SHORT:
        return position + 1 + header[position]
    if kind == _TABLE:
        return position + 4 + int(_LENGTH.unpack_from(header, position)[0])
    return position + (1 if kind == _OCTET else 8)


def _headers(header: bytes, span: tuple[int, int]) -> tables.Entries:
    return tables.entries(header[span[0] + 4 : span[1]])


def _text(header: bytes, span: tuple[int, int]) -> str:
    return header[span[0] + 1 : span[1]].decode(errors="replace")


def _milliseconds(text: str) -> int:
    """Parse an expiration as RabbitMQ does (rabbit_basic:parse_expiration)."""
    digits = len(text) - len(text.lstrip("+-"))
    while digits < len(text) and text[digits].isdecimal() and text[digits].isascii():
        digits += 1
    try:
        value = int(text[:digits])
    except ValueError:
        raise _invalid(text, "no_integer") from None
    if text[digits:]:
        raise _invalid(text, f'{{leftover_string,"{text[digits:]}"}}')
    if value < 0:
        raise _invalid(text, f"{{value_negative,{value}}}")
    if value > EXPIRATION_MS_MAX:
        raise _invalid(text, f"{{value_too_large,{value}}}")
    return value


def _invalid(text: str, reason: str) -> BrokerError:
    return BrokerError(PRECONDITION_FAILED, f"invalid expiration '{text}': {reason}")


def _rewritten(header: bytes, headers: tables.Entries, *, keep_expiration: bool) -> bytes:
    spans = _spans(header)
    if not keep_expiration:
        spans.pop(_EXPIRATION, None)
    pieces = {number: header[start:end] for number, (start, end) in spans.items()}
    if headers:
        pieces[_HEADERS] = tables.encoded(headers)
    flags = sum(1 << 15 - number for number in pieces)
    joined = b"".join(pieces[number] for number in sorted(pieces))
    return header[:_FLAGS_AT] + flags.to_bytes(2, "big") + joined
