"""Bytes <-> frames (AMQP 0-9-1, 4.2.3), and methods on their way out.

Deliveries and confirms are most of the traffic: a hand-written struct costs a tenth of the generic
codec. Everything else goes through pamqp, whose classes describe the protocol.
"""

import struct
from collections.abc import Iterator

from pamqp import commands, frame
from pamqp.base import Frame

from runtime.broker.errors import FRAME_ERROR, BrokerError

PROTOCOL_HEADER = b"AMQP\x00\x00\x09\x01"
# The second is how AMQP 0-9 announced itself; RabbitMQ takes it for 0-9-1.
PROTOCOL_HEADERS_TAKEN = (PROTOCOL_HEADER, b"AMQP\x01\x01\x00\x09")
METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
HEADER_SIZE_MIN = 12
FRAME_SIZE_MIN = 4096
FRAME_SIZE_MAX = 131072
_OVERHEAD = 8
_END = b"\xce"
_START = struct.Struct(">BHI")
_INDEX = struct.Struct(">I")
_COUNTS = struct.Struct(">II")
_TAG_AND_BIT = struct.Struct(">QB")

HEARTBEAT_FRAME = _START.pack(HEARTBEAT, 0, 0) + _END
# pamqp would write the reserved long string as "0"; RabbitMQ sends it empty.
_OPEN_OK = b"\x00\x14\x00\x0b\x00\x00\x00\x00"
_DELIVER = b"\x00\x3c\x00\x3c"
_DECLARE_OK = b"\x00\x32\x00\x0b"
_RETURN = b"\x00\x3c\x00\x32"
_GET_OK = b"\x00\x3c\x00\x47"
_ACK = b"\x00\x3c\x00\x50"
_NACK = b"\x00\x3c\x00\x78"
_ACCESS_REQUEST_OK = b"\x00\x1e\x00\x0b\x00\x01"
PUBLISH_INDEX = commands.Basic.Publish.index


class Splitter:
    """Cuts a byte stream into frames. ``size_max`` is what both sides agreed on."""

    def __init__(self) -> None:
        self.size_max = FRAME_SIZE_MAX
        self._buffer = bytearray()

    def take_header(self, data: bytes) -> bytes | None:
        """Collect the eight bytes that open a connection; None while they are incomplete."""
        self._buffer += data
        if len(self._buffer) < len(PROTOCOL_HEADER):
            return None
        header = bytes(self._buffer[: len(PROTOCOL_HEADER)])
        del self._buffer[: len(PROTOCOL_HEADER)]
        return header

    def keep(self, data: bytes) -> None:
        """Collect bytes for later."""
        self._buffer += data

    def frames(self, data: bytes) -> Iterator[tuple[int, int, bytes]]:
        """Yield (type, channel, payload) of every complete frame; BrokerError if one is malformed.

        The caller may change ``size_max`` between two frames.
        """
        self._buffer += data
        buffer, position = self._buffer, 0
        try:
            while len(buffer) - position >= _START.size:
                kind, channel, size = _START.unpack_from(buffer, position)
                if size > self.size_max - _OVERHEAD:
                    limit, position = self.size_max - _OVERHEAD, len(buffer)
                    reason = f"{{frame_too_large,{size},{limit}}}"
                    raise BrokerError(FRAME_ERROR, f"type {kind}, all octets = <<>>: {reason}", 0)
                end = position + _START.size + size
                if len(buffer) <= end:
                    return
                payload = bytes(buffer[position + _START.size : end])
                position = end + 1
                if buffer[end] != _END[0]:
                    reason = f"{{invalid_frame_end_marker,{buffer[end]}}}"
                    raise bad_frame(kind, payload, reason)
                yield kind, channel, payload
        finally:
            if position:
                del buffer[:position]


def is_frame(kind: int, payload: bytes) -> bool:
    """Whether there is a frame of this type with such a payload."""
    if kind in (METHOD, HEADER):
        return len(payload) >= (_INDEX.size if kind == METHOD else HEADER_SIZE_MIN)
    return kind == BODY or (kind == HEARTBEAT and not payload)


def quoted(payload: bytes) -> str:
    """The beginning of a frame, as RabbitMQ quotes it."""
    octets = payload[:16]
    what = "all octets" if len(payload) <= len(octets) else "first 16 octets"
    return f"{what} = {erlang_binary(octets)}"


def bad_frame(kind: int, payload: bytes, reason: str) -> BrokerError:
    """501 for what is no frame."""
    return BrokerError(FRAME_ERROR, f"type {kind}, {quoted(payload)}: {reason}", 0)


def erlang_binary(data: bytes) -> str:
    """Print bytes as Erlang's ``~p`` does.

    >>> erlang_binary(b"ab"), erlang_binary(bytes((0, 20)))
    ('<<"ab">>', '<<0,20>>')
    """
    if data and all(32 <= byte < 127 for byte in data):
        return f'<<"{data.decode()}">>'
    return f"<<{','.join(map(str, data))}>>"


def short(value: str) -> bytes:
    """Encode a short string."""
    raw = value.encode()
    return bytes((len(raw),)) + raw


def method(channel: int, body: Frame) -> bytes:
    """Frame a method."""
    return frame.marshal(body, channel)


def open_ok(channel: int) -> bytes:
    """Frame a channel.open-ok."""
    return _framed(METHOD, channel, _OPEN_OK)


def access_request_ok(channel: int) -> bytes:
    """Frame an access.request-ok (AMQP 0-9)."""
    return _framed(METHOD, channel, _ACCESS_REQUEST_OK)


def declare_ok(channel: int, queue: str, messages: int, consumers: int) -> bytes:
    """Frame a queue.declare-ok. By hand: pamqp refuses names that AMQP and RabbitMQ allow."""
    return _framed(METHOD, channel, _DECLARE_OK + short(queue) + _COUNTS.pack(messages, consumers))


def returned(channel: int, code: int, text: str, address: bytes) -> bytes:
    """Frame a basic.return; by hand, for the same reason."""
    return _framed(METHOD, channel, _RETURN + code.to_bytes(2, "big") + short(text) + address)


def get_ok(channel: int, number: int, redelivered: bool, address: bytes, left: int) -> bytes:
    """Frame a basic.get-ok; by hand, for the same reason."""
    fields = _TAG_AND_BIT.pack(number, redelivered) + address + _INDEX.pack(left)
    return _framed(METHOD, channel, _GET_OK + fields)


def confirm(channel: int, tag: int, *, multiple: bool, positive: bool) -> bytes:
    """Frame an ack or nack of publishes. RabbitMQ sets the requeue bit of every nack."""
    bits = multiple if positive else 2 | multiple
    return _framed(METHOD, channel, (_ACK if positive else _NACK) + _TAG_AND_BIT.pack(tag, bits))


def deliver(channel: int, tag: bytes, number: int, redelivered: bool, address: bytes) -> bytes:
    """Frame a basic.deliver; ``tag`` and ``address`` (exchange, key) are encoded already."""
    fields = tag + _TAG_AND_BIT.pack(number, redelivered) + address
    return _framed(METHOD, channel, _DELIVER + fields)


def content(channel: int, header: bytes, body: bytes, size_max: int) -> bytes:
    """Frame a content: its header and as many body frames as the agreed size asks for."""
    parts = [_framed(HEADER, channel, header)]
    step = size_max - _OVERHEAD
    parts += [
        _framed(BODY, channel, body[start : start + step]) for start in range(0, len(body), step)
    ]
    return b"".join(parts)


def _framed(kind: int, channel: int, payload: bytes) -> bytes:
    return _START.pack(kind, channel, len(payload)) + payload + _END
