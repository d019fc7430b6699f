"""Attacks with quantities: many connections, slow ones, large bodies, readers that do not read."""

import asyncio
import random
import socket
from collections import Counter
from contextlib import suppress

import msgspec

from tests.attacks.corpus import Aim, request
from tests.attacks.target import Target
from tests.attacks.volley import stranger

_POST = b"POST /v1/orders HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
_MEBIBYTE = b"x" * 2**20


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How much of each; ``seconds`` is how long the slow ones go on."""

    slow_heads: int = 1200
    slow_bodies: int = 100
    uploads: int = 40
    upload_mib: int = 15
    slow_readers: int = 50
    streams: int = 250
    stream_opens: int = 400
    connects: int = 1500
    seconds: float = 8.0


class Floods:
    """Runs them, against one target; ``seen`` counts what came of it."""

    def __init__(self, target: Target, aim: Aim, sizes: Sizes, seed: int) -> None:
        self._port = target.ports["gateway"]
        self._aim = aim
        self._sizes = sizes
        self._rng = random.Random(f"floods/{seed}")
        self.seen: Counter[str] = Counter()

    async def all(self) -> None:
        """Run all of them at once."""
        async with asyncio.TaskGroup() as tasks:
            for flood in (
                self.slow_heads,
                self.slow_bodies,
                self.uploads,
                self.slow_readers,
                self.held_streams,
                self.opened_streams,
                self.connects,
            ):
                tasks.create_task(flood())

    async def slow_heads(self) -> None:
        """Slowloris: heads that never end, a byte at a time."""
        beginnings = [b"GET /healthz HTTP/1.1\r\nX: "] * self._sizes.slow_heads
        await self._dribble("slow heads", beginnings)

    async def slow_bodies(self) -> None:
        """Bodies that never end, a byte at a time."""
        lengths = (b"Content-Length: 60000\r\n\r\n", b"Transfer-Encoding: chunked\r\n\r\n")
        beginnings = [_POST + length for length in lengths] * (self._sizes.slow_bodies // 2)
        await self._dribble("slow bodies", beginnings)

    async def uploads(self) -> None:
        """Bodies that are far too large, declared or in chunks."""
        async with asyncio.TaskGroup() as tasks:
            for number in range(self._sizes.uploads):
                tasks.create_task(self._upload(chunked=bool(number % 2)))

    async def slow_readers(self) -> None:
        """Clients that ask for more and more, and never read: until each of them is cut off."""
        asked = b"GET /openapi.json HTTP/1.1\r\nHost: a\r\n\r\n" * 400

        async def one() -> None:
            sock = socket.socket()
            sock.setblocking(False)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            sock.bind((stranger(self._rng), 0))
            loop = asyncio.get_running_loop()
            with sock:
                await loop.sock_connect(sock, ("127.0.0.1", self._port))
                try:
                    while True:
                        await loop.sock_sendall(sock, asked)
                except OSError:
                    self.seen["slow readers cut off"] += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(self._sizes.slow_readers):
                tasks.create_task(one())

    async def held_streams(self) -> None:
        """More event streams than there may be, held open."""
        connections = [await self._stream() for _ in range(self._sizes.streams)]
        await asyncio.sleep(self._sizes.seconds)
        for _, writer in filter(None, connections):
            writer.transport.abort()

    async def opened_streams(self) -> None:
        """Event streams, opened and left at once."""

        async def some(count: int) -> None:
            for _ in range(count):
                if opened := await self._stream():
                    opened[1].transport.abort()

        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(some(self._sizes.stream_opens // 8))

    async def connects(self) -> None:
        """Connections without a word, opened and left at once."""

        async def some(count: int) -> None:
            for _ in range(count):
                if opened := await self._connect():
                    opened[1].transport.abort()
                    self.seen["connects"] += 1

        async with asyncio.TaskGroup() as tasks:
            for _ in range(8):
                tasks.create_task(some(self._sizes.connects // 8))

    async def _dribble(self, name: str, beginnings: list[bytes]) -> None:
        async def one(beginning: bytes) -> None:
            opened = await self._connect()
            if opened is None:
                return
            self.seen[name] += 1
            _, writer = opened
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(self._sizes.seconds):
                    writer.write(beginning)
                    while not writer.is_closing():
                        writer.write(b"a")
                        await writer.drain()
                        await asyncio.sleep(0.5 + self._rng.random())
            writer.transport.abort()

        async with asyncio.TaskGroup() as tasks:
            for beginning in beginnings:
                tasks.create_task(one(beginning))

    async def _upload(self, *, chunked: bool) -> None:
        opened = await self._connect()
        if opened is None:
            return
        reader, writer = opened
        size = self._sizes.upload_mib * 2**20
        head = b"Transfer-Encoding: chunked\r\n" if chunked else b"Content-Length: %d\r\n" % size
        answer = asyncio.create_task(reader.read(100))
        with suppress(OSError):
            writer.write(_POST + head + b"\r\n")
            for _ in range(self._sizes.upload_mib):
                writer.write(b"100000\r\n" + _MEBIBYTE + b"\r\n" if chunked else _MEBIBYTE)
                await writer.drain()
        await asyncio.wait({answer})
        status = "reset" if answer.exception() else answer.result()[9:12].decode()
        self.seen[f"uploads {status}"] += 1
        writer.transport.abort()

    async def _stream(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        opened = await self._connect()
        if opened is None:
            return None
        reader, writer = opened
        path = f"/v1/orders/{self._aim.order_id}/events/stream".encode()
        with suppress(OSError):
            writer.write(request(b"GET", path, self._aim.customer))
            answer = await reader.read(100)
            self.seen[f"streams {answer[9:12].decode()}"] += 1
        return opened

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter] | None:
        try:
            return await asyncio.open_connection(
                "127.0.0.1", self._port, local_addr=(stranger(self._rng), 0)
            )
        except OSError:
            self.seen["not connected"] += 1
            return None
