"""`Message` to and from AMQP 0-9-1: the only place that knows which property holds what.

Its law: what `encode_properties` writes, `properties_to_message` reads back equal; anything that is
missing or of the wrong type is `Unprocessable` (malformed), never a guess.

Encoding is by hand: the properties are fixed, and the library's general marshalling costs more than
everything else in a publish. Layouts: AMQP 0-9-1, 2.3.5 (frames), 4.2.6.1 (content header).
"""

import struct
from datetime import datetime
from functools import lru_cache

import pamqp.encode
import pamqp.frame
from aiormq import spec
from pamqp.header import ContentHeader

from runtime.errors import Unprocessable
from runtime.message import HeaderValue, Message, MessageType

_FRAME = struct.Struct(">BHI")
_CONTENT = struct.Struct(">HHQ")
_TIME = struct.Struct(">Q")
_ACK = struct.Struct(">BHIHHQBB")
_END = b"\xce"
_BASIC = 60
_ACK_METHOD = 80
_TEXT_MAX = 255
_SIZE = struct.Struct(">I")
_LONG_TEXT, _BOOLEAN = ord("S"), ord("t")
_SECONDS_MAX = 1 << 32  # pamqp 4.0.1 takes anything above for milliseconds
_HAS_HEADERS = 0x2000
_FLAGS = 0xB4E8  # one bit for each property of a `Message`

#: Headers that the broker adds when it dead-letters; a copy that we publish must not carry them, or
#: the broker takes a second trip through the delay queue for a loop and drops the message.
_BROKERS_OWN = ("x-death", "x-first-death-", "x-last-death-", "x-delivery-count")


def encode_properties(message: Message) -> bytes:
    """Return the property flags and values of a content header.

    Raises `Unprocessable` (malformed) for a text longer than 255 bytes: it fits no short string.
    """
    flags = _FLAGS if message.headers else _FLAGS & ~_HAS_HEADERS
    parts = [flags.to_bytes(2, "big"), _short(message.content_type, "content_type")]
    if message.headers:
        parts.append(pamqp.encode.field_table(dict(message.headers)))
    parts += (
        bytes((message.delivery_mode,)),
        _short(message.correlation_id, "correlation_id"),
        _short(message.message_id, "message_id"),
        _TIME.pack(message.timestamp),
        _short(message.type, "type"),
        _short(message.app_id, "app_id"),
    )
    return b"".join(parts)


def encode_publish(
    channel: int, exchange: str, routing_key: str, message: Message, frame_max: int
) -> bytes:
    """Return the frames of one mandatory publish: method, content header, body."""
    properties, body = encode_properties(message), message.body
    content = _CONTENT.pack(_BASIC, 0, len(body)) + properties
    parts = [
        _method(channel, exchange, routing_key),
        _FRAME.pack(2, channel, len(content)),
        content,
        _END,
    ]
    room = frame_max - 8
    for start in range(0, len(body), room):
        piece = body[start : start + room]
        parts += (_FRAME.pack(3, channel, len(piece)), piece, _END)
    return b"".join(parts)


def encode_ack(channel: int, tag: int, multiple: bool) -> bytes:
    """Return the frame of one Basic.Ack."""
    return _ACK.pack(1, channel, 13, _BASIC, _ACK_METHOD, tag, multiple, _END[0])


def decode_properties(raw: bytes) -> spec.Basic.Properties:
    """Read the property flags and values of a content header; empty if they cannot be decoded."""
    header = ContentHeader()
    try:
        header.unmarshal(bytes(12) + raw)
    except Exception:  # whatever pamqp stumbles over
        return spec.Basic.Properties()
    return header.properties


def read_message(raw: bytes, body: bytes) -> Message | None:
    """Read a message from the bytes of its properties, if they are as we write them.

    The same as `decode_properties` and `properties_to_message`, five times faster; None for
    anything out of the ordinary, which is theirs to judge.
    """
    flags = raw[0] << 8 | raw[1] if len(raw) > 2 else 0
    if flags | _HAS_HEADERS != _FLAGS:
        return None
    headers: dict[str, HeaderValue] = {}
    try:
        content_type, at = _read_text(raw, 2)
        if flags & _HAS_HEADERS:
            headers, at = _read_headers(raw, at)
        delivery_mode = raw[at]
        correlation_id, at = _read_text(raw, at + 1)
        message_id, at = _read_text(raw, at)
        (timestamp,) = _TIME.unpack_from(raw, at)
        type_, at = _read_text(raw, at + _TIME.size)
        app_id, at = _read_text(raw, at)
        MessageType.parse(type_)
    except (IndexError, ValueError, struct.error, Unprocessable):
        return None
    texts = (content_type, correlation_id, message_id, app_id)
    if at != len(raw) or not all(texts) or delivery_mode == 0 or timestamp >= _SECONDS_MAX:
        return None
    return Message(
        message_id=message_id,
        type=type_,
        body=body,
        correlation_id=correlation_id,
        app_id=app_id,
        timestamp=timestamp,
        content_type=content_type,
        delivery_mode=delivery_mode,
        headers=headers,
    )


def _read_text(raw: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + raw[at]
    return raw[at + 1 : end].decode(), end


def _read_headers(raw: bytes, at: int) -> tuple[dict[str, HeaderValue], int]:
    """Read a field table (AMQP 0-9-1, 4.2.5.5) whose values are texts or booleans."""
    (size,) = _SIZE.unpack_from(raw, at)
    at += _SIZE.size
    end = at + size
    headers: dict[str, HeaderValue] = {}
    while at < end:
        name, at = _read_text(raw, at)
        if name.startswith(_BROKERS_OWN):
            raise ValueError("dead-lettered, or delivered before")
        if raw[at] == _LONG_TEXT:
            (length,) = _SIZE.unpack_from(raw, at + 1)
            start, at = at + 5, at + 5 + length
            headers[name] = raw[start:at].decode()
        elif raw[at] == _BOOLEAN:
            headers[name], at = raw[at + 1] != 0, at + 2
        else:
            raise ValueError("another type of value")
    if at != end:
        raise ValueError("the table is longer than it says")
    return headers, end


def properties_to_message(properties: spec.Basic.Properties, body: bytes) -> Message:
    """Read a delivery; raises `Unprocessable` (malformed) naming the property at fault."""
    message = Message(
        message_id=_text(properties, "message_id"),
        type=_text(properties, "message_type"),
        body=body,
        correlation_id=_text(properties, "correlation_id"),
        app_id=_text(properties, "app_id"),
        timestamp=_timestamp(properties.timestamp),
        content_type=_text(properties, "content_type"),
        delivery_mode=properties.delivery_mode or 1,
        headers=_headers(properties.headers),
    )
    MessageType.parse(message.type)
    return message


def salvage(properties: spec.Basic.Properties, body: bytes, *, message_id: str) -> Message:
    """Make a message of whatever can be read, to park what `properties_to_message` refused."""

    def text(name: str) -> str:
        value = getattr(properties, name, None)
        return value if isinstance(value, str) else ""

    return Message(
        message_id=text("message_id") or message_id,
        type=text("message_type"),
        body=body,
        correlation_id=text("correlation_id"),
        app_id=text("app_id"),
        timestamp=_timestamp(properties.timestamp) if properties.timestamp else 0,
        content_type=text("content_type") or "application/octet-stream",
        headers=_headers(properties.headers),
    )


def death(properties: spec.Basic.Properties) -> str:
    """Return why the broker dead-lettered this message first, or an empty text."""
    reason = (properties.headers or {}).get("x-first-death-reason")
    return reason if isinstance(reason, str) else ""


@lru_cache(maxsize=1024)
def _method(channel: int, exchange: str, routing_key: str) -> bytes:
    publish = spec.Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True)
    return pamqp.frame.marshal(publish, channel)


def _short(text: str, name: str) -> bytes:
    data = text.encode()
    if len(data) > _TEXT_MAX:
        raise Unprocessable("malformed", f"{name} has {len(data)} bytes; AMQP allows 255")
    return bytes((len(data),)) + data


def _text(properties: spec.Basic.Properties, name: str) -> str:
    value = getattr(properties, name, None)
    if not isinstance(value, str) or not value:
        label = "type" if name == "message_type" else name
        raise Unprocessable("malformed", f"the property {label} is missing")
    return value


def _timestamp(value: object) -> int:
    if not isinstance(value, datetime):
        raise Unprocessable("malformed", "the property timestamp is missing")
    return int(value.timestamp())


def _headers(table: object) -> dict[str, HeaderValue]:
    if not isinstance(table, dict):
        return {}
    return {
        name: value
        for name, value in table.items()
        if isinstance(value, (str, int, bool)) and not name.startswith(_BROKERS_OWN)
    }
