"""Frames as they arrive: cut apart once, and those of busy channels handed to them at once.

Its law: every byte reaches exactly one reader, in order: the `Taker` of its channel, or aiormq.
What aiormq reads has passed unchanged, except the properties of a message that cannot be decoded,
which arrive empty; and no frame is longer than what was agreed on.

aiormq reads a frame in three awaits and queues it twice before a channel sees it, which costs more
than all the rest of a delivery. So deliveries, confirms and returns never get there. Its watch on
the connection must still see life: a heartbeat stands for the frames that were taken.

For the rest, pamqp 4.0.1 raises for an out-of-range timestamp, a text that is not UTF-8 or deeply
nested headers, which makes aiormq 7.2.4 drop the connection - and the broker give every
unacknowledged delivery back, again and again (aiormq #186). It also believes whatever length a
frame announces (connection.py, ``get_frame``), and tells nobody that the broker has blocked the
connection; all of it is seen here.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Protocol, SupportsIndex, runtime_checkable

import pamqp.frame

#: What we agree to at most (RabbitMQ's own default); a broker may allow less.
FRAME_MAX = 131072
METHOD, HEADER, BODY = 1, 2, 3
_LIMIT = 1 << 20
_ALIVE_S = 0.5
_HEAD = struct.Struct(">BHI")
_END = 0xCE
_HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
_FIXED = 12  # class id, weight and body size of a content header; the property flags follow
_BLOCKED, _UNBLOCKED = b"\x00\x0a\x00\x3c", b"\x00\x0a\x00\x3d"  # class 10, methods 60 and 61


@runtime_checkable
class Taker(Protocol):
    """A channel that takes frames as they arrive."""

    def take(self, kind: int, payload: bytes) -> bool:
        """Take the frame, or leave it to aiormq (False). It must not wait, and do little.

        Raises ValueError where the broker breaks the protocol; that costs the connection.
        """
        ...


class FrameReader(asyncio.StreamReader):
    """What aiormq reads from, and where channels get their frames past it (`serve`).

    ``blocked`` is the broker's reason to take no more messages from us, empty while it does;
    ``on_blocked`` is called when that changes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(limit=_LIMIT, loop=loop)
        self.blocked = ""
        self.on_blocked: Callable[[], None] = _ignore
        self._takers: dict[int, Taker] = {}
        self._clock = (loop or asyncio.get_running_loop()).time
        self._rest = b""
        self._passed_s = 0.0
        self._cutting = True

    def serve(self, number: int, channel: object) -> None:
        """Hand the frames of this number to ``channel`` from now on, if it is a `Taker`."""
        self._takers.pop(number, None)
        if isinstance(channel, Taker):
            self._takers[number] = channel

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Cut ``data``, which are bytes, into frames, and hand them on."""
        if not self._cutting:
            super().feed_data(data)
            return
        buffer = self._rest + bytes(data)
        # Whatever goes wrong in here, the rest is aiormq's to complain about.
        self._rest = b""
        try:
            passed = self._cut(buffer)
        except (ValueError, IndexError, struct.error) as error:
            self._cutting = False
            self.set_exception(ConnectionError(f"the broker broke the protocol: {error}"))
            return
        except Exception as error:  # something in a message that nobody expected
            self._cutting = False
            self.set_exception(error)
            return
        if passed:
            super().feed_data(passed)

    def feed_eof(self) -> None:
        """Pass the beginning of a frame that will never be complete, then the end."""
        if self._rest:
            super().feed_data(self._rest)
            self._rest = b""
        super().feed_eof()

    async def readexactly(self, n: int) -> bytes:
        """Return the next ``n`` bytes; ConnectionError before it waits for a frame too long."""
        if n > FRAME_MAX:
            raise ConnectionError(f"a frame of {n} bytes where {FRAME_MAX} were agreed")
        return await super().readexactly(n)

    def _cut(self, buffer: bytes) -> bytes:
        """Hand on the frames in ``buffer``; keep what is incomplete, return what is aiormq's."""
        passed: list[bytes] = []
        takers, at, size, taken = self._takers, 0, len(buffer), False
        while size - at >= _HEAD.size:
            kind, channel, length = _HEAD.unpack_from(buffer, at)
            end = at + _HEAD.size + length + 1
            if length >= FRAME_MAX or (end <= size and buffer[end - 1] != _END):
                self._cutting = False  # no frame of ours; a greeting in another version, say
                return b"".join((*passed, buffer[at:]))
            if end > size:
                break
            taker = takers.get(channel)
            if taker is not None and taker.take(kind, buffer[at + _HEAD.size : end - 1]):
                taken = True
            else:
                passed.append(self._screened(kind, buffer[at:end]))
            at = end
        self._rest = buffer[at:]
        return self._alive(b"".join(passed), taken)

    def _alive(self, passed: bytes, taken: bool) -> bytes:
        now_s = self._clock()
        if taken and not passed and now_s - self._passed_s >= _ALIVE_S:
            passed = _HEARTBEAT
        if passed:
            self._passed_s = now_s
        return passed

    def _screened(self, kind: int, frame: bytes) -> bytes:
        if kind == METHOD and frame[7:11] in (_BLOCKED, _UNBLOCKED):
            self._block(frame[7:])
        if kind != HEADER:
            return frame
        try:
            pamqp.frame.unmarshal(frame)
        except Exception:
            fixed = _HEAD.size + _FIXED
            if len(frame) <= fixed + 2:
                return frame
            # The frame keeps its length: without flags the decoder ignores the rest.
            return frame[:fixed] + bytes(len(frame) - fixed - 1) + frame[-1:]
        return frame

    def _block(self, payload: bytes) -> None:
        # Blocked carries a short string: its length, its bytes.
        text = payload[5 : 5 + payload[4]].decode(errors="replace") or "no reason given"
        self.blocked = text if payload.startswith(_BLOCKED) else ""
        self.on_blocked()


def _ignore() -> None: ...
