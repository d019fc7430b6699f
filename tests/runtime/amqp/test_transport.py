"""Messages that break aiormq's connection before its user sees them, and what we see instead."""

import asyncio
import ssl
import struct
from contextlib import suppress
from pathlib import Path

import aiormq
import anyio
import pytest
from pamqp import commands, frame
from pamqp.header import ContentHeader
from yarl import URL

from runtime.amqp.frames import FrameReader
from runtime.amqp.transport import Transport
from tests.harness.mail_server import certificate
from tests.harness.peer import Peer, peer_at
from tests.harness.poison import DELIVERED, POISON, REFUSED_BY_OURS
from tests.harness.waiting import eventually, until


def deliverable(request: pytest.FixtureRequest) -> list[bytes]:
    """What the test's broker takes and delivers."""
    broker = request.node.callspec.params["broker_url"]
    return [POISON[name] for target, name in DELIVERED if target == broker]


@pytest.mark.parametrize(("broker_url", "name"), DELIVERED, indirect=["broker_url"])
async def test_the_trap_one_message_ends_the_librarys_connection(
    broker_url: str, name: str
) -> None:
    async with peer_at(broker_url) as peer:
        queue = await peer.queue("q")
        await peer.put_raw(queue, POISON[name])
        await eventually(lambda: peer.ready(queue))
        victim = await aiormq.connect(broker_url)
        channel = await victim.channel()

        async def ignore(message: object) -> None: ...

        await channel.basic_consume(queue, ignore)
        await until(lambda: victim.is_closed)


@pytest.mark.parametrize("broker_url", ["embedded"], indirect=True)
@pytest.mark.parametrize("name", REFUSED_BY_OURS)
async def test_our_own_broker_refuses_headers_that_would_break_their_reader(
    broker_url: str, name: str
) -> None:
    connection = await aiormq.connect(broker_url)
    peer = Peer(await connection.channel())
    await peer.put_raw(await peer.queue("q"), POISON[name])
    await until(lambda: connection.is_closed)
    async with peer_at(broker_url) as other:
        assert await other.ready("q") == 0


@pytest.mark.parametrize("name", POISON)
async def test_undecodable_properties_arrive_empty_and_everything_else_unchanged(name: str) -> None:
    properties = POISON[name]
    content = struct.pack(">HHQ", 60, 0, 4) + properties
    poisoned = struct.pack(">BHI", 2, 1, len(content)) + content + b"\xce"
    good = frame.marshal(
        ContentHeader(body_size=4, properties=commands.Basic.Properties(message_id="m")), 1
    )
    body = struct.pack(">BHI", 3, 1, 4) + b"\xff\xfe\xfd\xfc" + b"\xce"
    reader = FrameReader()
    reader.feed_data(poisoned + body + good + body)
    frames = []
    for _ in range(4):
        head = await reader.readexactly(1) + await reader.readexactly(6)
        rest = await reader.readexactly(frame.frame_parts(head)[2] + 1)  # type: ignore[operator]
        frames.append(head + rest)
    assert len(frames[0]) == len(poisoned)
    blank = frame.unmarshal(frames[0])[2]
    assert isinstance(blank, ContentHeader)
    assert blank.body_size == 4
    assert blank.properties.message_id is None
    assert frames[1:] == [body, good, body]


async def test_over_tls_a_cut_needs_no_goodbye_of_the_peer_however_often_it_was_closed(
    tmp_path: Path,
) -> None:
    class Silent(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            transport.pause_reading()
            connected.append(transport)

    connected: list[asyncio.Transport] = []
    context, trusted = certificate(tmp_path)
    loop = asyncio.get_running_loop()
    async with await loop.create_server(Silent, "127.0.0.1", 0, ssl=context) as server:
        port = server.sockets[0].getsockname()[1]
        transport = Transport(ssl.create_default_context(cafile=trusted))
        _, writer = await transport.create(URL(f"amqps://localhost:{port}"))
        writer.close()
        writer.close()
        transport.abort()
        with anyio.fail_after(10), suppress(OSError):
            await writer.wait_closed()
        await until(lambda: connected)
        connected[0].abort()
