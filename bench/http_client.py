"""A client that costs as little as it can: HTTP/1.1 over kept-alive connections, one request each.

It runs in the load generator, beside the processes that are measured and on the same cores.
"""

import asyncio
from contextlib import suppress
from typing import Self

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """The status and the body of an answer, and the cookie that it sets, ``name=value``.

    ``last``: the server closes the connection after it.
    """

    status: int
    body: bytes
    cookie: str = ""
    last: bool = False


class Client:
    """Connections to one server, made as they are needed and used again."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self._idle: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []

    @classmethod
    def of(cls, url: str) -> Self:
        """Return a client for ``http://host:port``."""
        host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
        return cls(host, int(port))

    async def post(self, path: str, body: bytes) -> Answer:
        """Send JSON; return the answer, whatever its status."""
        head = (
            f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        return await self._send(head.encode() + body)

    async def get(self, path: str, cookie: str = "") -> Answer:
        """Ask for a page, as a browser that keeps this cookie; return the answer."""
        head = f"GET {path} HTTP/1.1\r\nHost: {self._host}\r\nAccept: text/html\r\n"
        return await self._send(f"{head}Cookie: {cookie}\r\n\r\n".encode())

    async def _send(self, request: bytes) -> Answer:
        reader, writer = await self._connection()
        writer.write(request)
        answer = await _answer(reader)
        if answer.last:
            await _close(writer)
        else:
            self._idle.append((reader, writer))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            await _close(self._idle.pop()[1])

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            await _close(writer)  # the server had waited long enough
        return await asyncio.open_connection(self._host, self._port)


async def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length, cookie, last = 0, "", False
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        elif name.lower() == b"set-cookie":
            cookie = value.partition(b";")[0].strip().decode()
        elif name.lower() == b"connection":
            last = value.strip().lower() == b"close"
    return Answer(int(lines[0].split()[1]), await reader.readexactly(length), cookie, last)
