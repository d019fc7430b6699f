"""The bytes under aiormq: small writes are joined, and the connection can be cut.

aiormq writes each frame by itself, and a ``send()`` per frame is a quarter of its cost; here all
writes of one loop turn leave together. What arrives is in `runtime.amqp.frames`.
"""

import asyncio
import ssl

from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from runtime.amqp.frames import FrameReader

_HIGH_WATER = 1 << 16


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
        """Send what is kept, then close. Once: told twice, asyncio's TLS can abort no more."""
        self._flush()
        if not self.transport.is_closing():
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
        self.reader: FrameReader | None = None

    async def create(
        self, url: URL, **kwargs: object
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect to the URL's host and port (called by aiormq)."""
        loop = asyncio.get_running_loop()
        self.reader = reader = FrameReader(loop)
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
