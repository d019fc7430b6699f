"""One published message. Its content header stays as the bytes the publisher sent.

A broker reads few properties only: delivery-mode, priority, expiration, user-id, and of the headers
CC, BCC and, for dead letters and delivery counts, some of its own. They are found by skipping, and
everything else passes untouched.
AMQP 0-9-1, 4.2.6.1: class, weight, body size, property flags, then the properties present.
"""

import struct
from functools import lru_cache

from runtime.broker import tables
from runtime.broker.argument_checks import TIMER_MS_MAX
from runtime.broker.errors import PRECONDITION_FAILED, SYNTAX_ERROR, BrokerError
from runtime.broker.wire import short

PERSISTENT = 2

_FLAGS_AT = 12
_PROPERTIES_AT = 14
_SHORT, _TABLE, _OCTET, _TIME = range(4)
# In order of their flags, bit 15 first.
_KINDS = (_SHORT, _SHORT, _TABLE, _OCTET, _OCTET, _SHORT, _SHORT, _SHORT, _SHORT, _TIME, _SHORT,
          _SHORT, _SHORT, _SHORT)  # fmt: skip
_HEADERS, _DELIVERY_MODE, _PRIORITY, _EXPIRATION, _TIMESTAMP, _USER_ID = 2, 3, 4, 7, 9, 11
_LENGTH = struct.Struct(">I")
_SECONDS = struct.Struct(">Q")

Spans = dict[int, tuple[int, int]]


class Message:
    """Where it was published, with which content. Never changed once made.

    ``copies`` are the further routing keys of its header CC. Those of BCC were taken out of the
    header (``hidden_keys``, an encoded array): nobody but the broker sees them.
    """

    __slots__ = ("address", "body", "copies", "exchange", "expiration_ms", "header", "hidden_keys",
                 "persistent", "routing_key")  # fmt: skip

    def __init__(
        self,
        exchange: str,
        routing_key: str,
        header: bytes,
        body: bytes,
        hidden_keys: bytes = b"",
        *,
        spans: Spans | None = None,
    ) -> None:
        """Raises BrokerError where the header, or a table in it, is malformed.

        ``spans`` says where its properties are, for who knows it.
        """
        self.exchange = exchange
        self.routing_key = routing_key
        self.header = header
        self.body = body
        self.hidden_keys = hidden_keys
        self.address = short(exchange) + short(routing_key)
        self.copies: tuple[str, ...] = ()
        if spans is None:
            spans = _spans(header)
        if _HEADERS in spans:
            self.copies = _keys(_headers(header, spans[_HEADERS]), "CC")
        mode = spans.get(_DELIVERY_MODE)
        self.persistent = mode is not None and header[mode[0]] == PERSISTENT
        expiration = spans.get(_EXPIRATION)
        self.expiration_ms = _milliseconds(_text(header, expiration)) if expiration else None

    def routing_keys(self) -> tuple[str, ...]:
        """Every key that it is routed by."""
        hidden = _strings(self.hidden_keys) if self.hidden_keys else ()
        return (self.routing_key, *self.copies, *hidden)

    @property
    def priority(self) -> int:
        """The priority; 0 where there is none."""
        span = _spans(self.header).get(_PRIORITY)
        return self.header[span[0]] if span else 0

    @property
    def timestamp(self) -> int | None:
        """When its publisher says that it was made, in seconds; None where it does not."""
        span = _spans(self.header).get(_TIMESTAMP)
        return int(_SECONDS.unpack_from(self.header, span[0])[0]) if span else None

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

    def redirected(self, exchange: str, routing_key: str | None, headers: tables.Entries
                   ) -> "Message":  # fmt: skip
        """Copy for another exchange, with these headers and without its expiration.

        With a routing key it goes nowhere else: CC and BCC are forgotten.
        """
        hidden = self.hidden_keys
        if routing_key is not None:
            headers, hidden = {**headers}, b""
            headers.pop("CC", None)
        header = _rewritten(self.header, headers, keep_expiration=False)
        key = self.routing_key if routing_key is None else routing_key
        return Message(exchange, key, header, self.body, hidden)


def published(exchange: str, routing_key: str, header: bytes, body: bytes, user: str) -> Message:
    """Make the message that ``user`` publishes; 406, in RabbitMQ's order, for what is wrong."""
    spans = _spans(header)
    if _USER_ID in spans and (claimed := _text(header, spans[_USER_ID])) != user:
        text = f"user_id property set to '{claimed}' but authenticated user was '{user}'"
        raise BrokerError(PRECONDITION_FAILED, text)
    message = Message(exchange, routing_key, header, body, spans=spans)
    mode = spans.get(_DELIVERY_MODE)
    if mode is not None and header[mode[0]] not in (1, PERSISTENT):
        raise _unusable(f"{{delivery_mode_unknown,{header[mode[0]]}}}")
    if _HEADERS in spans:
        headers = _headers(header, spans[_HEADERS])
        _check_keys(headers, "CC")
        if "BCC" in headers:
            _check_keys(headers, "BCC")
            hidden = headers.pop("BCC")
            shown = _rewritten(header, headers, keep_expiration=True)
            return Message(exchange, routing_key, shown, body, hidden)
    return message


def body_size(header: bytes) -> int:
    """The announced size of the body."""
    if len(header) < _PROPERTIES_AT:
        raise BrokerError(SYNTAX_ERROR, "content header too short")
    size: int = struct.unpack_from(">Q", header, 4)[0]
    return size


def _spans(header: bytes) -> Spans:
    flags = header[_FLAGS_AT] << 8 | header[_FLAGS_AT + 1]
    spans: Spans = {}
    position = _PROPERTIES_AT
    try:
        for number, kind in _present(flags):
            if kind == _SHORT:
                end = position + 1 + header[position]
            elif kind == _TABLE:
                end = position + 4 + int(_LENGTH.unpack_from(header, position)[0])
            else:
                end = position + (1 if kind == _OCTET else 8)
            spans[number] = (position, end)
            position = end
    except (IndexError, struct.error) as error:
        raise BrokerError(SYNTAX_ERROR, "malformed content properties") from error
    if position > len(header):
        raise BrokerError(SYNTAX_ERROR, "malformed content properties")
    return spans


@lru_cache(1024)
def _present(flags: int) -> tuple[tuple[int, int], ...]:
    """Numbers and kinds of the properties that these flags announce."""
    if flags & 3:
        raise BrokerError(SYNTAX_ERROR, "unknown content properties")
    return tuple((number, kind) for number, kind in enumerate(_KINDS) if flags & 1 << 15 - number)


def _headers(header: bytes, span: tuple[int, int]) -> tables.Entries:
    return tables.entries(header[span[0] + 4 : span[1]])


def _text(header: bytes, span: tuple[int, int]) -> str:
    return header[span[0] + 1 : span[1]].decode(errors="replace")


def _strings(array: bytes) -> tuple[str, ...]:
    return tuple(tables.string(item) for item in tables.items(array) if item[:1] == b"S")


def _keys(headers: tables.Entries, name: str) -> tuple[str, ...]:
    value = headers.get(name, b"")
    return _strings(value) if value[:1] == b"A" else ()


def _check_keys(headers: tables.Entries, name: str) -> None:
    value = headers.get(name)
    if value is not None and value[:1] != b"A":
        kind = tables.type_name(value)
        raise _unusable(f'{{unacceptable_type_in_header,"{name}",{kind}}}')


def _unusable(reason: str) -> BrokerError:
    return BrokerError(PRECONDITION_FAILED, f"invalid message: {reason}")


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
    if value > TIMER_MS_MAX:
        raise _invalid(text, f"{{value_too_large,{value}}}")
    return value


def _invalid(text: str, reason: str) -> BrokerError:
    return BrokerError(PRECONDITION_FAILED, f"invalid expiration '{text}': {reason}")


def _rewritten(header: bytes, headers: tables.Entries, *, keep_expiration: bool) -> bytes:
    spans = _spans(header)
    if not keep_expiration:
        spans.pop(_EXPIRATION, None)
    pieces = {number: header[start:end] for number, (start, end) in spans.items()}
    if headers or _HEADERS in pieces:
        pieces[_HEADERS] = tables.encoded(headers)
    flags = sum(1 << 15 - number for number in pieces)
    joined = b"".join(pieces[number] for number in sorted(pieces))
    return header[:_FLAGS_AT] + flags.to_bytes(2, "big") + joined
