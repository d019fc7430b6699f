"""A small HTTP/1.1 client: what a browser does, at a fraction of a library's cost.

The server side is real (Hypercorn, Quart); the customer's side only has to send correct requests,
keep its connection while it is good, and tell an answer from none.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import anyio
import msgspec

_BLANK_LINE = b"\r\n\r\n"


class NoAnswer(Exception):
    """The connection was refused, cut or silent: whether the request was carried out is unknown."""


class Answer(msgspec.Struct, frozen=True):
    """Status, headers in lower case, and the body as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """Decode the body."""
        return msgspec.json.decode(self.body)


class Client:
    """One customer's connection to ``host:port``."""

    def __init__(self, host: str, port: int, *, timeout_s: float = 10.0) -> None:
        self._address = host, port
        self._timeout_s = timeout_s
        self._line: _Line | None = None

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str], body: object = None
    ) -> Answer:
        """Send a request and return its answer; `NoAnswer` if there is none in time."""
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address[0]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        head = "\r\n".join(lines).encode() + _BLANK_LINE
        try:
            with anyio.fail_after(self._timeout_s):
                line = await self._connected()
                answer = await line.exchange(head + content)
        except (OSError, EOFError, TimeoutError) as error:
            self.close()
            # The answer keeps the error, whose traceback keeps the frames that keep the answer.
            raise NoAnswer(type(error).__name__) from error.with_traceback(None)
        if not line.good:
            self.close()
        return answer

    def close(self) -> None:
        """Hang up."""
        if self._line is not None:
            self._line.transport.abort()
            self._line = None

    async def _connected(self) -> "_Line":
        line = self._line
        if line is None or not line.good:
            self.close()
            loop = asyncio.get_running_loop()
            _, line = await loop.create_connection(_Line, *self._address)
            self._line = line
        return line


class _Line(asyncio.Protocol):
    """A connection, ``good`` while another request may be sent on it."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.good = True
        self._got = b""
        self._head: tuple[int, dict[str, str]] | None = None
        self._answer: asyncio.Future[Answer] | None = None

    async def exchange(self, request: bytes) -> Answer:
        """Send a request and return its answer."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self._answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        if self._head is None:
            head, blank_line, rest = self._got.partition(_BLANK_LINE)
            if not blank_line:
                return
            self._head, self._got = read_head(head), rest
        status, headers = self._head
        size = int(headers.get("content-length", "0"))
        if len(self._got) < size:
            return
        body, self._got, self._head = self._got[:size], self._got[size:], None
        self.good = self.good and headers.get("connection") != "close"
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(Answer(status, headers, body))

    def eof_received(self) -> None:
        self.connection_lost(None)

    def connection_lost(self, error: Exception | None) -> None:
        self.good = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error or EOFError())


def read_head(raw: bytes) -> tuple[int, dict[str, str]]:
    """Return an answer's status, and its headers in lower case."""
    first, *rest = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in rest)
    return int(first.split(" ", 2)[1]), {name.lower(): value for name, _, value in pairs}
