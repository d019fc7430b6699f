"""AMQP 0-9-1 frames, as far as a bystander on a wire needs them.

Written apart from both ends of the product, after the specification (2.3.5 frames, 4.2.6.1 content
header), so that one misreading cannot hide another. A method that carries content is told of once
its body is complete.
"""

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

GREETING = b"AMQP\x00\x00\x09\x01"

QOS, CONSUME, CANCEL, PUBLISH, RETURN, DELIVER, GET, GET_OK, ACK, REJECT, NACK = (
    60 << 16 | method for method in (10, 20, 30, 40, 50, 60, 70, 71, 80, 90, 120)
)
CONFIRM_SELECT = 85 << 16 | 10
CHANNEL_CLOSE, CHANNEL_CLOSED = 20 << 16 | 40, 20 << 16 | 41
BLOCKED = 10 << 16 | 60
_WITH_CONTENT = frozenset((PUBLISH, RETURN, DELIVER, GET_OK))
_HEAD = struct.Struct(">BHI")
_INDEX = struct.Struct(">I")
_SIZE = struct.Struct(">Q")
_TAG = struct.Struct(">QB")
_METHOD, _HEADER, _BODY = 1, 2, 3
_HEAD_SIZE, _unpack_head, _unpack_index = _HEAD.size, _HEAD.unpack_from, _INDEX.unpack_from


class Frame(NamedTuple):
    """One method; ``payload`` begins after its index. ``header`` and ``body`` are its content."""

    channel: int
    method: int
    payload: bytes
    header: bytes = b""
    body: bytes = b""


class Reader:
    """One direction of one connection. Feed it bytes as they come, however they are cut."""

    __slots__ = ("_buffer", "_open")

    def __init__(self) -> None:
        self._buffer = b""
        self._open: dict[int, tuple[int, bytes, bytes, int, list[bytes]]] = {}

    @property
    def amid(self) -> bool:
        """Whether the bytes until now end inside a frame."""
        return bool(self._buffer)

    def feed(self, data: bytes) -> Sequence[Frame]:
        """Return the methods that are complete now."""
        whole = None if self._buffer or self._open else _whole(data)
        return self._cut(data) if whole is None else whole

    def _cut(self, data: bytes) -> list[Frame]:
        buffer = self._buffer + data if self._buffer else data
        position, size = 0, len(buffer)
        found: list[Frame] = []
        if buffer.startswith(GREETING):
            position = len(GREETING)
        while size - position >= _HEAD_SIZE:
            kind, channel, length = _unpack_head(buffer, position)
            begin, end = position + _HEAD_SIZE, position + _HEAD_SIZE + length
            if end >= size:
                break
            position = end + 1
            if kind == _METHOD:
                (method,) = _unpack_index(buffer, begin)
                if method in _WITH_CONTENT:
                    self._open[channel] = method, buffer[begin + 4 : end], b"", 0, []
                else:
                    found.append(Frame(channel, method, buffer[begin + 4 : end]))
            else:
                whole = self._take(kind, channel, buffer[begin:end])
                if whole is not None:
                    found.append(whole)
        self._buffer = buffer[position:]
        return found

    def _take(self, kind: int, channel: int, payload: bytes) -> Frame | None:
        begun = self._open.get(channel)
        if begun is None or kind not in (_HEADER, _BODY):
            return None
        method, arguments, header, missing, parts = begun
        if kind == _HEADER:
            header, missing = payload, _SIZE.unpack_from(payload, 4)[0]
        else:
            parts.append(payload)
            missing -= len(payload)
        if missing > 0:
            self._open[channel] = method, arguments, header, missing, parts
            return None
        del self._open[channel]
        return Frame(channel, method, arguments, header, b"".join(parts))


@lru_cache(maxsize=64)
def _whole(data: bytes) -> Sequence[Frame] | None:
    """Return the methods of bytes that end with one; None where more must come.

    What one end writes comes to the other in the same pieces most often, and is read only once.
    """
    reader = Reader()
    found = reader._cut(data)  # noqa: SLF001
    return None if reader.amid or reader._open else found  # noqa: SLF001


def short_texts(payload: bytes, position: int, count: int) -> list[str]:
    """Return ``count`` short strings from ``position`` on."""
    found = []
    for _ in range(count):
        end = position + 1 + payload[position]
        found.append(payload[position + 1 : end].decode(errors="replace"))
        position = end
    return found


def tag_and_bit(payload: bytes) -> tuple[int, bool]:
    """Return the delivery tag of an ack, nack or reject, and its first bit (``multiple``)."""
    tag, bits = _TAG.unpack_from(payload)
    return tag, bool(bits & 1)


_KINDS = (
    ("content_type", "s"), ("content_encoding", "s"), ("headers", "t"), ("delivery_mode", "o"),
    ("priority", "o"), ("correlation_id", "s"), ("reply_to", "s"), ("expiration", "s"),
    ("message_id", "s"), ("timestamp", "q"), ("type", "s"), ("user_id", "s"), ("app_id", "s"),
    ("cluster_id", "s"),
)  # fmt: skip
_ID = [name for name, _ in _KINDS].index("message_id")


def message_id(header: bytes) -> str:
    """Return the message's id alone, which is most often all that matters; empty if it has none."""
    flags = int.from_bytes(header[12:14], "big")
    if not flags & 1 << 15 - _ID:
        return ""
    position = 14
    for number in range(_ID):
        if flags & 1 << 15 - number:
            kind = _KINDS[number][1]
            if kind == "s":
                position += 1 + header[position]
            elif kind == "o":
                position += 1
            else:
                position += 4 + _INDEX.unpack_from(header, position)[0]
    return header[position + 1 : position + 1 + header[position]].decode(errors="replace")


def properties(header: bytes) -> dict[str, Any]:
    """Return the properties that a content header carries, by name."""
    flags = int.from_bytes(header[12:14], "big")
    position = 14
    found: dict[str, Any] = {}
    for number, (name, kind) in enumerate(_KINDS):
        if not flags & 1 << 15 - number:
            continue
        if kind == "s":
            end = position + 1 + header[position]
            found[name] = header[position + 1 : end].decode(errors="replace")
        elif kind == "o":
            end = position + 1
            found[name] = header[position]
        elif kind == "q":
            end = position + 8
            found[name] = _SIZE.unpack_from(header, position)[0]
        else:
            end = position + 4 + _INDEX.unpack_from(header, position)[0]
            found[name] = _table(header[position + 4 : end])
        position = end
    return found


_FIXED = {b"t": ">?", b"b": ">b", b"B": ">B", b"s": ">h", b"u": ">H", b"I": ">i", b"i": ">I",
          b"l": ">q", b"T": ">Q", b"d": ">d", b"f": ">f", b"V": ""}  # fmt: skip


def _table(data: bytes) -> dict[str, Any]:
    """Read a table's flat entries; nested ones are left as bytes (nobody here looks into them)."""
    found: dict[str, Any] = {}
    position = 0
    while position < len(data):
        end = position + 1 + data[position]
        name, kind = data[position + 1 : end].decode(errors="replace"), data[end : end + 1]
        position = end + 1
        layout = _FIXED.get(kind)
        if layout is not None:
            size = struct.calcsize(layout)
            found[name] = struct.unpack_from(layout, data, position)[0] if size else None
        else:
            size = 4 + _INDEX.unpack_from(data, position)[0]
            raw = data[position + 4 : position + size]
            found[name] = raw.decode(errors="replace") if kind == b"S" else raw
        position += size
    return found
