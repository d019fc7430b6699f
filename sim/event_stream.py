"""A client of server-sent events over HTTP/1.1: what a browser's EventSource does, in small."""

import asyncio
from collections import deque

import anyio

from sim.client import NoAnswer, read_head

_BLANK_LINE = b"\r\n\r\n"


class EventStream(asyncio.Protocol):
    """One connection with one stream on it. ``status`` is 0 until the answer has begun."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.status = 0
        self.ended = False
        self._got = self._text = b""
        self._frames: deque[bytes] = deque()
        self._waiting: asyncio.Future[None] | None = None

    @classmethod
    async def open(cls, host: str, port: int, request: bytes, patience_s: float) -> "EventStream":
        """Ask for a stream; `NoAnswer` if its answer does not begin in time."""
        loop = asyncio.get_running_loop()
        try:
            with anyio.fail_after(patience_s):
                _, stream = await loop.create_connection(cls, host, port)
        except (OSError, TimeoutError) as error:
            raise NoAnswer(type(error).__name__) from error.with_traceback(None)
        await stream.begin(request, patience_s)
        return stream

    async def begin(self, request: bytes, patience_s: float) -> None:
        """Send the request; `NoAnswer` if no answer begins."""
        self.transport.write(request)
        while not self.status:
            if self.ended or not await self._news(patience_s):
                self.close()
                raise NoAnswer("no answer has begun")

    async def frame(self, patience_s: float) -> dict[str, str] | None:
        """Return the next frame's fields, a comment as ``""``; None where no more comes in time."""
        while not self._frames:
            if self.ended or not await self._news(patience_s):
                return None
        lines = self._frames.popleft().decode().split("\n")
        return {name: text for name, _, text in (line.partition(": ") for line in lines)}

    def close(self) -> None:
        """Hang up."""
        self.ended = True
        self.transport.abort()
        self._wake()

    async def _news(self, patience_s: float) -> bool:
        """Wait until something has come; return whether it has."""
        self._waiting = asyncio.get_running_loop().create_future()
        done, _ = await asyncio.wait([self._waiting], timeout=patience_s)
        return bool(done)

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)

    # -- the connection's side --------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep it."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        """Read what is whole."""
        self._got += data
        if not self.status:
            head, blank_line, rest = self._got.partition(_BLANK_LINE)
            if not blank_line:
                return
            (self.status, headers), self._got = read_head(head), rest
            self.ended = headers.get("transfer-encoding") != "chunked"
        while not self.ended and self._read_chunk():
            pass
        *frames, self._text = self._text.split(b"\n\n")
        self._frames += frames
        self._wake()

    def _read_chunk(self) -> bool:
        size, line_end, rest = self._got.partition(b"\r\n")
        if not line_end or len(rest) < (length := int(size, 16)) + 2:
            return False
        self._text += rest[:length]
        self._got = rest[length + 2 :]
        self.ended = not length
        return True

    def eof_received(self) -> None:
        """Nothing more comes."""
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        """Nothing more comes."""
        self.ended = True
        self._wake()
