"""A small HTTP/1.1 client: what a browser does, at a fraction of a library's cost.

The server side is real (Hypercorn, Quart); the customer's side only has to send correct requests,
keep its connection while it is good, and tell an answer from none.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec


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
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(
        self, method: str, path: str, *, headers: Mapping[str, str], body: object = None
    ) -> Answer:
        """Send a request and return its answer; `NoAnswer` if there is none in time."""
        content = b"" if body is None else msgspec.json.encode(body)
        lines = [f"{method} {path} HTTP/1.1", f"Host: {self._address[0]}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        if body is not None:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        head = "\r\n".join(lines).encode() + b"\r\n\r\n"
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(head + content)
        except (OSError, EOFError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.close()
            # The reader keeps the error, whose traceback keeps the frames that keep the reader.
            raise NoAnswer(type(error).__name__) from error.with_traceback(None)

    def close(self) -> None:
        """Hang up."""
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, request: bytes) -> Answer:
        streams = self._streams
        if streams is None or streams[0].at_eof() or streams[1].transport.is_closing():
            self.close()
            streams = self._streams = await asyncio.open_connection(*self._address)
        reader, writer = streams
        writer.write(request)
        status, headers = _head(await reader.readuntil(b"\r\n\r\n"))
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, body)


def _head(raw: bytes) -> tuple[int, dict[str, str]]:
    first, *rest = raw.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ") for line in rest if line)
    return int(first.split(" ", 2)[1]), {name.lower(): value for name, _, value in pairs}
