"""A client that costs as little as it can: HTTP/1.1 over kept-alive connections, one request each.

It runs in the load generator, beside the processes that are measured and on the same cores.
"""

import asyncio
from contextlib import suppress
from typing import Self

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """The status and the body of an answer."""

    status: int
    body: bytes


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
        reader, writer = await self._connection()
        writer.write(head.encode() + body)
        answer = await _answer(reader)
        self._idle.append((reader, writer))
        return answer

    async def close(self) -> None:
        """Close the connections."""
        while self._idle:
            _, writer = self._idle.pop()
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _connection(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof():
                return reader, writer
            writer.close()  # the server had waited long enough
            with suppress(OSError):
                await writer.wait_closed()
        return await asyncio.open_connection(self._host, self._port)


async def _answer(reader: asyncio.StreamReader) -> Answer:
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    length = 0
    for line in lines[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return Answer(int(lines[0].split()[1]), await reader.readexactly(length))
