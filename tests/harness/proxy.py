"""A TCP proxy that can misbehave: freeze (accept, deliver nothing), hold requests or answers back,
cut, refuse, count.

It stands between a client and a real server, in the test's own event loop. ``url(address)`` is the
address to give to the client.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from yarl import URL


class Proxy:
    """Made by `proxy_to`. ``connections`` counts what was accepted so far."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._server: asyncio.Server | None = None
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._asking = asyncio.Event()
        self._asking.set()
        self._answering = asyncio.Event()
        self._answering.set()
        self._pairs: dict[int, tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._refusing = False
        self.port = 0
        self.connections = 0

    def url(self, address: str) -> str:
        """The same broker address, through this proxy."""
        return str(URL(address).with_host("127.0.0.1").with_port(self.port))

    def freeze(self) -> None:
        """From now on nothing passes, in either direction, and nothing is closed."""
        self._flowing.clear()

    def withhold(self) -> None:
        """From now on requests pass, and their answers are held back."""
        self._answering.clear()

    def hold(self) -> None:
        """From now on what the server says passes, and nothing reaches it."""
        self._asking.clear()

    def thaw(self) -> None:
        """Let everything that was held back pass."""
        self._flowing.set()
        self._asking.set()
        self._answering.set()

    def refuse(self, refusing: bool = True) -> None:
        """Close new connections at once."""
        self._refusing = refusing

    def cut(self) -> None:
        """Reset every connection."""
        for pair in self._pairs.values():
            for writer in pair:
                writer.transport.abort()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        if self._refusing:
            writer.transport.abort()
            return
        there, back = await asyncio.open_connection(*self._target)
        self._pairs[number] = writer, back
        self._tasks += [
            asyncio.ensure_future(self._pump(number, reader, back, self._asking)),
            asyncio.ensure_future(self._pump(number, there, writer, self._answering)),
        ]

    async def _pump(
        self,
        number: int,
        source: asyncio.StreamReader,
        sink: asyncio.StreamWriter,
        passing: asyncio.Event,
    ) -> None:
        with suppress(OSError):
            while data := await source.read(65536):
                await self._flowing.wait()
                await passing.wait()
                sink.write(data)
                await sink.drain()
        await self._flowing.wait()
        for writer in self._pairs.pop(number, ()):
            writer.transport.abort()


@asynccontextmanager
async def proxy_to(address: str) -> AsyncIterator[Proxy]:
    """Run a proxy in front of the broker at ``address``."""
    url = URL(address)
    assert url.host is not None
    assert url.port is not None
    proxy = Proxy(url.host, url.port)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
