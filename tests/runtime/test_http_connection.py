"""One connection over a real socket: what is read, what is refused, and that it always ends."""

import asyncio
import gc
from contextlib import AsyncExitStack
from weakref import ref

import anyio
import pytest
from anyio.abc import SocketStream

from runtime import http, http_connection
from runtime.http import HttpServer
from tests.harness.asked_app import LARGE, App
from tests.harness.raw_http import HOST, ask, until_answered, until_closed
from tests.harness.running import running
from tests.harness.waiting import until

# What is read


async def test_head_and_body_of_an_answer_are_one_write(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[bytes] = []
    write = asyncio.StreamWriter.write

    def noted(writer: asyncio.StreamWriter, data: bytes) -> None:
        written.append(data)
        write(writer, data)

    monkeypatch.setattr(asyncio.StreamWriter, "write", noted)
    status, _, body = await ask(server.port, b"GET /here HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (status, body) == (200, b"GET /here HTTP/1.1")
    (answer,) = written
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(body)


@pytest.mark.parametrize(
    "request_",
    [
        b"GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n"
        b"HTTP2-Settings: AAMAAABkAAQAAP__\r\n" + HOST + b"\r\n",
        b"GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
        + HOST
        + b"\r\n",
    ],
    ids=["h2c", "websocket"],
)
async def test_nothing_is_upgraded(server: HttpServer, request_: bytes) -> None:
    status, _, body = await ask(server.port, request_)
    assert (status, body) == (200, b"GET / HTTP/1.1")


async def test_the_preface_of_http_2_is_a_request_like_any_other(server: HttpServer) -> None:
    frames = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00" + b"\xff" * 60
    preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(preface + frames)
        received = await until_closed(stream)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"PRI * HTTP/2.0HTTP/1.1 400" in received  # and SM is no request


# That it ends


@pytest.mark.parametrize("method", [b"GET", b"G@T"], ids=["answered", "refused"])
async def test_what_has_ended_is_freed_without_the_collector(
    server: HttpServer, monkeypatch: pytest.MonkeyPatch, method: bytes
) -> None:
    made: list[ref[http_connection.Connection]] = []
    begin = http_connection.Connection.run

    async def noted(self: http_connection.Connection) -> None:
        made.append(ref(self))
        await begin(self)

    monkeypatch.setattr(http_connection.Connection, "run", noted)
    gc.disable()
    try:
        async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
            await stream.send(method + b" / HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n")
            await until_closed(stream)
        await until(lambda: [one() for one in made] == [None])
    finally:
        gc.enable()


async def test_what_an_application_does_not_read_holds_up_nobody(
    app: App, server: HttpServer
) -> None:
    head = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HOST + b"\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(head + b"1\r\na\r\n" * 3000)
        assert (await until_closed(stream)).startswith(b"HTTP/1.1 413")
    await until(lambda: server.connections == 0)
    assert app.in_work == 0


async def test_a_client_that_still_sends_can_read_the_answer(server: HttpServer) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 500000\r\n" + HOST + b"\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(head)
        await until_answered(stream)
        await stream.send(b"x" * 499_999)  # nobody wants it: no reset, though
        await stream.send_eof()
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(head + b"x" * 499_999)
        assert (await until_closed(stream)).startswith(b"HTTP/1.1 413")
    await until(lambda: server.connections == 0)


async def send_for_ever(stream: SocketStream) -> None:
    with anyio.fail_after(10):
        while True:
            await stream.send(LARGE)


async def test_but_not_for_ever(server: HttpServer, monkeypatch: pytest.MonkeyPatch) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: 50000000\r\n" + HOST + b"\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(head)
        await until_answered(stream)
        with pytest.raises(anyio.BrokenResourceError):
            await send_for_ever(stream)
    await until(lambda: server.connections == 0)
    monkeypatch.setattr(http_connection, "LINGER_S", 0.05)
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(head)
        await until_answered(stream)
        await until(lambda: server.connections == 0)


@pytest.mark.parametrize("requests", [1, 2])
async def test_a_client_that_takes_no_bytes_is_cut_off(
    app: App, server: HttpServer, monkeypatch: pytest.MonkeyPatch, requests: int
) -> None:
    monkeypatch.setattr(http_connection, "STALL_S", 0.2)
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send((b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n") * requests)
        await until(lambda: app.in_work == 1)
        await until(lambda: (server.connections, app.in_work) == (0, 0))


async def test_a_client_that_takes_its_time_is_not(
    app: App, server: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_connection, "STALL_S", 5.0)
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n")
        taken = 0
        while taken < 40 * len(LARGE):
            taken += len(await stream.receive())
        assert app.in_work == 1
    await until(lambda: server.connections == 0)


async def test_a_client_that_asks_twice_and_goes_is_noticed_when_it_is_answered(
    app: App, server: HttpServer
) -> None:
    """Hypercorn would wait for the first answer's end before it reads on, hence for ever."""
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send((b"GET /ticks HTTP/1.1\r\n" + HOST + b"\r\n") * 2)
        await until(lambda: app.in_work == 1)
    await until(lambda: (server.connections, app.in_work) == (0, 0))


async def test_what_follows_a_last_request_holds_up_nobody(server: HttpServer) -> None:
    last = b"GET / HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(last + b"GET / HTTP/1.1\r\n" * 1000)
        assert (await until_closed(stream)).startswith((b"HTTP/1.1 200", b"HTTP/1.1 400"))
    await until(lambda: server.connections == 0)


async def test_a_store_that_breaks_ends_the_connection_and_is_told_elsewhere(
    server: HttpServer,
) -> None:
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(b"GET /broken HTTP/1.1\r\n" + HOST + b"\r\n")
        await until_closed(stream)
    await until(lambda: server.connections == 0)


async def test_a_client_that_has_gone_is_forgotten_at_once(server: HttpServer) -> None:
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(b"GET / HTTP/1.1\r\n" + HOST + b"\r\n")
        await until_answered(stream)
        assert server.connections == 1
    # Hypercorn's own connection would keep its file for the rest of its keep-alive, 5 s.
    await until(lambda: server.connections == 0, within_s=2.0)


# How many there are


async def connected(stack: AsyncExitStack, port: int, request: bytes) -> SocketStream:
    stream = await stack.enter_async_context(await anyio.connect_tcp("127.0.0.1", port))
    await stream.send(request)
    return stream


async def test_one_more_than_there_is_room_for_takes_the_place_of_who_waits_longest(
    app: App, server: HttpServer
) -> None:
    busy = b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n"
    good = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    async with AsyncExitStack() as stack:
        first = await connected(stack, server.port, busy)
        second = await connected(stack, server.port, good)
        await until_answered(second)
        dribbling = await connected(stack, server.port, b"GET / HT")
        await until(lambda: server.connections == 3)
        await second.send(good)  # used again, later than the other one
        await until_answered(second)
        fourth = await connected(stack, server.port, busy)
        assert await until_closed(dribbling) == b""
        fifth = await connected(stack, server.port, busy)
        assert await until_closed(second) == b""
        await until(lambda: app.in_work == 3)
        sixth = await connected(stack, server.port, good)
        assert (await until_closed(sixth)).startswith(b"HTTP/1.1 503")
        assert server.connections == 3
        app.hanging.set()
        for stream in (first, fourth, fifth):
            assert (await until_answered(stream)).startswith(b"HTTP/1.1 200")


async def test_the_refusal_says_when_to_come_back(app: App, server: HttpServer) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(3):
            await connected(stack, server.port, b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n")
        await until(lambda: app.in_work == 3)
        status, headers, body = await ask(server.port, b"")
        assert (status, headers["retry-after"], headers["connection"]) == (503, "1", "close")
        assert body == b'{"type":"about:blank","title":"Service Unavailable","status":503}'
        app.hanging.set()


async def test_files_are_left_for_everything_else(
    app: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.resource, "getrlimit", lambda _: (300, 300))
    assert http._room_for_files(100) == 50
    monkeypatch.setattr(http.resource, "getrlimit", lambda _: (64, 64))
    assert http._room_for_files(100) == 16


# That it stops


async def test_a_request_that_outlasts_the_stop_is_told_to_come_back(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    server = HttpServer(app, "127.0.0.1", 0, grace_s=0.05)
    async with running(server.run) as (context,), AsyncExitStack() as stack:
        hanging = b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n"
        stream = await connected(stack, server.port, hanging)
        await until(lambda: app.in_work == 1)
        context.stopping.set()
        received = await until_closed(stream)
    assert received.startswith(b"HTTP/1.1 503")
    assert b"retry-after: 1" in received
    assert caplog.records == []


async def test_nothing_that_a_client_does_holds_up_the_stop(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    server = HttpServer(app, "127.0.0.1", 0, grace_s=0.05)
    async with AsyncExitStack() as stack:
        async with running(server.run, within_s=10.0):
            for request in (
                b"",
                b"GET / HT",
                b"POST / HTTP/1.1\r\nContent-Length: 9\r\n" + HOST + b"\r\n",
                b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n",
                b"GET /hang HTTP/1.1\r\n" + HOST + b"\r\n",
            ):
                await connected(stack, server.port, request)
            await until(lambda: (server.connections, app.in_work) == (5, 2))
        assert (server.connections, app.in_work) == (0, 0)
    assert caplog.records == []
