"""The bytes under aiormq: small writes are joined, and one bad message cannot end a connection.

Its law: every byte passes in order and unchanged, except the properties of a message that cannot be
decoded, which arrive empty; and no frame is longer than what was agreed on.

aiormq writes each frame by itself, and a ``send()`` per frame is a quarter of its cost; here all
writes of one loop turn leave together. And pamqp 4.0.1 raises for an out-of-range timestamp, a text
that is not UTF-8 or deeply nested headers, which makes aiormq 7.2.4 drop the connection - and the
broker give every unacknowledged delivery back, again and again (aiormq #186). `ScreeningReader`
looks at each content header first and blanks the properties it cannot decode: the message then
reaches the consumer without an id, and is parked as malformed like any other.

aiormq also believes whatever length a frame announces (connection.py, ``get_frame``), and tells
nobody that the broker has blocked the connection; both are seen here.
"""

import asyncio
import ssl
import struct
from collections.abc import Callable

import pamqp.frame
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

#: What we agree to at most (RabbitMQ's own default); a broker may allow less.
FRAME_MAX = 131072
_LIMIT = 1 << 20
_HIGH_WATER = 1 << 16
_FRAME = struct.Struct(">BHI")
_METHOD, _HEADER = 1, 2
_FIXED = 12  # class id, weight and body size of a content header; the property flags follow
_BLOCKED, _UNBLOCKED = b"\x00\x0a\x00\x3c", b"\x00\x0a\x00\x3d"  # class 10, methods 60 and 61


class ScreeningReader(asyncio.StreamReader):
    """A stream of frames, read the way aiormq reads it: 1 byte, 6 bytes, payload and end mark.

    ``blocked`` is the broker's reason to take no more messages from us, empty while it does;
    ``on_blocked`` is called when that changes.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop | None = None) -> None:
        super().__init__(limit=_LIMIT, loop=loop)
        self.blocked = ""
        self.on_blocked: Callable[[], None] = _ignore
        self._head = b""

    async def readexactly(self, n: int) -> bytes:
        """Return the next ``n`` bytes, with undecodable message properties blanked.

        Raises `ConnectionError` before it reads a frame that is too long.
        """
        if len(self._head) < _FRAME.size:
            data = await super().readexactly(n)
            self._head += data
            return data
        if n > FRAME_MAX:
            raise ConnectionError(f"a frame of {n} bytes where {FRAME_MAX} were agreed")
        data = await super().readexactly(n)
        head, self._head = self._head, b""
        if head[0] == _METHOD and data[:4] in (_BLOCKED, _UNBLOCKED):
            # Blocked carries a short string: its length, its bytes.
            text = data[5 : 5 + data[4]].decode(errors="replace") or "no reason given"
            self.blocked = text if data.startswith(_BLOCKED) else ""
            self.on_blocked()
        return data if head[0] != _HEADER else _screened(head, data)


class JoiningWriter(asyncio.StreamWriter):
    """A stream writer whose small writes leave together, once per turn of the event loop."""

    def __init__(
        self,
        transport: asyncio.Transport,
        protocol: asyncio.StreamReaderProtocol,
        reader: asyncio.StreamReader,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(transport, protocol, reader, loop)
        self._running = loop
        self._joined: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Keep ``data`` until the end of this loop turn."""
        if not self._joined:
            self._running.call_soon(self._flush)
        self._joined.append(bytes(data))

    async def drain(self) -> None:
        """Wait only while the socket is far behind: the senders bound what they have in flight."""
        if self.transport.get_write_buffer_size() > _HIGH_WATER:
            self._flush()
            await super().drain()

    def write_eof(self) -> None:
        """Send what is kept, then the end of the stream."""
        self._flush()
        super().write_eof()

    def close(self) -> None:
        """Send what is kept, then close."""
        self._flush()
        super().close()

    def _flush(self) -> None:
        if self._joined:
            data, self._joined = b"".join(self._joined), []
            if not self.transport.is_closing():
                super().write(data)


class Transport(TransportFactory):
    """Opens the connection's socket, and can cut it at once."""

    def __init__(self, tls: ssl.SSLContext | None) -> None:
        self._tls = tls
        self._writer: JoiningWriter | None = None
        self.reader: ScreeningReader | None = None

    async def create(
        self, url: URL, **kwargs: object
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the URL's host and port (called by aiormq)."""
        loop = asyncio.get_running_loop()
        self.reader = reader = ScreeningReader(loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        host, port = url.host or "", url.port or 0  # neither is missing: see `Address`
        try:
            transport, _ = await loop.create_connection(lambda: protocol, host, port, ssl=self._tls)
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self._writer = JoiningWriter(transport, protocol, reader, loop)
        return reader, self._writer

    def abort(self) -> None:
        """Cut the connection: whatever was not sent yet never is."""
        if self._writer is not None:
            self._writer.transport.abort()


def _ignore() -> None: ...


def _screened(head: bytes, data: bytes) -> bytes:
    try:
        pamqp.frame.unmarshal(head + data)
    except Exception:
        if len(data) <= _FIXED + 2:
            return data
        # The frame keeps its length: without flags the decoder ignores the rest.
        return data[:_FIXED] + bytes(len(data) - _FIXED - 1) + data[-1:]
    return data
