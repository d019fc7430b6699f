"""A broker that does the handshake properly and then says whatever the test has made up.

It knows just enough to let a link connect and a consumer start. ``lines`` replace its answers: for
a method that it receives (or ``greeting``, before any) the bytes to send instead of the answer.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import pamqp.frame
from pamqp import commands
from pamqp.base import Frame
from pamqp.header import ContentHeader


def marshal(frame: Frame | ContentHeader, channel: int = 1) -> bytes:
    """Return the frame as bytes."""
    return pamqp.frame.marshal(frame, channel)


#: A header that announces a body without end, and the frames that go on with it.
ENDLESS_BODY = 2**62
PART = b"\x03\x00\x01" + (1 << 16).to_bytes(4, "big") + bytes(1 << 16) + b"\xce"

_CAPABILITIES = {"capabilities": {"publisher_confirms": True, "consumer_cancel_notify": True}}
START = marshal(commands.Connection.Start(server_properties=_CAPABILITIES), 0)
_ANSWERS: dict[str, Callable[[], Frame]] = {
    "Connection.StartOk": lambda: commands.Connection.Tune(2047, 131072, 0),
    "Connection.Open": commands.Connection.OpenOk,
    "Connection.Close": commands.Connection.CloseOk,
    "Channel.Open": commands.Channel.OpenOk,
    "Channel.Close": commands.Channel.CloseOk,
    "Confirm.Select": commands.Confirm.SelectOk,
    "Queue.Declare": lambda: commands.Queue.DeclareOk("q", 0, 0),
    "Basic.Qos": commands.Basic.QosOk,
    "Basic.Consume": lambda: commands.Basic.ConsumeOk("tag"),
}


DELIVER = marshal(commands.Basic.Deliver("tag", 1, False, "", "q"))


def delivery(body_size: int) -> bytes:
    """Return the beginning of a delivery, up to its body."""
    properties = commands.Basic.Properties()
    return DELIVER + marshal(ContentHeader(body_size=body_size, properties=properties))


class FalseBroker:
    """``accepted_at`` has the time of each connection, ``sent`` the bytes of a flood.

    ``heard`` names the methods it has received, in order.

    ``lines`` may be changed while it runs. ``after`` is said right after the answer to a method,
    and ``flood`` after that, again and again up to ``flood_max`` bytes, as fast as the peer takes
    it.
    """

    def __init__(
        self,
        lines: Mapping[str, bytes] | None = None,
        *,
        after: Mapping[str, bytes] | None = None,
        flood: bytes = b"",
        flood_max: int = 0,
    ) -> None:
        self.lines = dict(lines or {})
        self._after = after or {}
        self._flood = flood
        self._flood_max = flood_max
        self._talks: list[tuple[asyncio.Task[None], asyncio.StreamWriter]] = []
        self.port = 0
        self.accepted_at: list[float] = []
        self.sent = 0
        self.heard: list[str] = []
        self.flooded = asyncio.Event()

    @property
    def connections(self) -> int:
        """How many were accepted."""
        return len(self.accepted_at)

    @property
    def url(self) -> str:
        """Its address."""
        return f"amqp://guest:guest@127.0.0.1:{self.port}/"

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Begin a conversation."""
        self.accepted_at.append(asyncio.get_running_loop().time())
        self._talks.append((asyncio.ensure_future(self._serve(reader, writer)), writer))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            await self._talk(reader, writer)
        writer.transport.abort()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(self.lines.get("greeting", START))
        while True:
            channel, name = await _method(reader)
            self.heard.append(name)
            answer = _ANSWERS.get(name)
            if name in self.lines:
                writer.write(self.lines[name])
            elif answer is not None:
                writer.write(marshal(answer(), channel))
            if name in self._after:
                writer.write(self._after[name])
                await self._overflow(writer)

    async def _overflow(self, writer: asyncio.StreamWriter) -> None:
        for _ in itertools.count():
            if self.sent >= self._flood_max:
                break
            writer.write(self._flood)
            await writer.drain()
            self.sent += len(self._flood)
        self.flooded.set()

    def cut(self) -> None:
        """Reset every connection."""
        for _, writer in self._talks:
            writer.transport.abort()

    async def close(self) -> None:
        """End every conversation."""
        self.cut()
        for task, _ in self._talks:
            task.cancel()
        await asyncio.gather(*(task for task, _ in self._talks), return_exceptions=True)


async def _method(reader: asyncio.StreamReader) -> tuple[int, str]:
    """Return the channel and name of the next method; what is no method has no name."""
    head = await reader.readexactly(7)
    rest = await reader.readexactly(int.from_bytes(head[3:], "big") + 1)
    if head[0] != 1:
        return 0, ""
    _, channel, frame = pamqp.frame.unmarshal(head + rest)
    return channel, str(frame.name)


@asynccontextmanager
async def false_broker(broker: FalseBroker) -> AsyncIterator[FalseBroker]:
    """Listen until the block ends."""
    server = await asyncio.start_server(broker.accept, "127.0.0.1", 0)
    broker.port = server.sockets[0].getsockname()[1]
    try:
        yield broker
    finally:
        server.close()
        await broker.close()
