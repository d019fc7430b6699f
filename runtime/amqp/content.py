"""A message that arrives in frames: its announcement, a header, a body (AMQP 0-9-1, 2.3.5.2).

Its law: the frames of one message follow each other without a gap, or the broker breaks the
protocol. A message of more than ``body_max`` bytes is counted and not kept.
"""

import struct

from runtime.amqp.frames import BODY, HEADER

_HEADER = struct.Struct(">HHQ")
_BASIC = 60


class Content:
    """What is still to come after the announcing method. ``properties`` are flags and values."""

    __slots__ = ("_body_max", "_left", "_parts", "properties", "size")

    def __init__(self, body_max: int) -> None:
        self._body_max = body_max
        self._parts: list[bytes] = []
        self._left = -1  # the header is to come
        self.size = 0
        self.properties = b""

    def add(self, kind: int, payload: bytes) -> bool:
        """Take the next frame; True once the message is complete."""
        if self._left < 0:
            if kind != HEADER:
                raise ValueError("a content header was expected")
            class_id, _, self.size = _HEADER.unpack_from(payload)
            if class_id != _BASIC:
                raise ValueError(f"a content header of class {class_id}")
            self._left, self.properties = self.size, payload[_HEADER.size :]
        elif kind != BODY or len(payload) > self._left:
            raise ValueError("a part of a body was expected")
        else:
            self._left -= len(payload)
            if not self.oversized:
                self._parts.append(payload)
        return self._left == 0

    @property
    def oversized(self) -> bool:
        """Whether it is longer than what is kept."""
        return self.size > self._body_max

    @property
    def body(self) -> bytes:
        """The body of a complete message; empty if it was too long to keep."""
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)


def short_text(payload: bytes, at: int) -> tuple[str, int]:
    """Read a short string (AMQP 4.2.5.3) at ``at``; return it and where it ends."""
    end = at + 1 + payload[at]
    if end > len(payload):
        raise ValueError("a text is longer than its frame")
    return payload[at + 1 : end].decode(errors="replace"), end
