import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.abc import SocketStream

from runtime.child import ChildContext
from runtime.errors import EnvironmentUnready
from runtime.http import HEAD_BYTES_MAX, HttpServer
from tests.harness.waiting import until

GET = b"GET %s HTTP/1.1\r\nhost: here\r\n\r\n"


class App:
    """Answers /, streams on /events until told to end, hangs on /slow, raises on /broken."""

    def __init__(self) -> None:
        self.ended = anyio.Event()
        self.streaming = anyio.Event()
        self.cancelled = anyio.Event()
        self.lifespan: list[str] = []
        self.handler: asyncio.Task[Any] | None = None

    def stop_streams(self) -> None:
        self.ended.set()

    async def __call__(
        self,
        scope: Any,
        receive: Callable[[], Awaitable[Any]],
        send: Callable[[Any], Awaitable[None]],
    ) -> None:
        if scope["type"] == "lifespan":
            while (event := await receive())["type"] == "lifespan.startup":
                self.lifespan.append("up")
                await send({"type": "lifespan.startup.complete"})
            assert event["type"] == "lifespan.shutdown"
            self.lifespan.append("down")
            await send({"type": "lifespan.shutdown.complete"})
            return
        if scope["path"] == "/broken":
            raise ValueError("planted")
        if scope["path"] == "/silent":
            return
        if scope["path"] == "/slow":
            self.streaming.set()
            self.handler = asyncio.current_task()
            try:
                await anyio.sleep_forever()
            finally:
                self.cancelled.set()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        if scope["path"] == "/events":
            await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
            self.streaming.set()
            await self.ended.wait()
        await send({"type": "http.response.body", "body": b"served"})


@asynccontextmanager
async def serving(app: Any, **options: Any) -> AsyncIterator[tuple[HttpServer, ChildContext]]:
    server = HttpServer(app, "127.0.0.1", 0, **options)
    started = anyio.Event()
    context = ChildContext("http", started.set)
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, context)
        with anyio.fail_after(10):
            await started.wait()
            yield server, context
            context.stopping.set()


async def read_to_end(stream: SocketStream) -> bytes:
    received = b""
    while True:
        try:
            received += await stream.receive()
        except (anyio.EndOfStream, anyio.BrokenResourceError):
            return received


async def get(port: int, path: bytes, until: bytes) -> tuple[SocketStream, bytes]:
    stream = await anyio.connect_tcp("127.0.0.1", port)
    await stream.send(GET % path)
    received = b""
    while until not in received:
        received += await stream.receive()
    return stream, received


async def test_port_0_is_replaced_by_the_port_taken() -> None:
    async with serving(App()) as (server, _):
        assert server.port != 0
        stream, received = await get(server.port, b"/", until=b"served")
        assert received.startswith(b"HTTP/1.1 200")
        await stream.aclose()


async def test_the_server_says_neither_its_name_nor_the_date() -> None:
    async with serving(App()) as (server, _):
        stream, received = await get(server.port, b"/", until=b"served")
        assert b"server:" not in received.lower()
        assert b"date:" not in received.lower()
        await stream.aclose()


async def test_a_head_larger_than_the_limit_is_refused() -> None:
    async with serving(App()) as (server, _):
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        await stream.send(b"GET / HTTP/1.1\r\nx: " + b"a" * (HEAD_BYTES_MAX + 1024))
        assert (await read_to_end(stream)).startswith(b"HTTP/1.1 4")
        await stream.aclose()


async def test_a_port_in_use_is_an_error_that_names_the_setting() -> None:
    async with serving(App()) as (server, _):
        other = HttpServer(App(), "127.0.0.1", server.port, setting="payment.port")
        with pytest.raises(EnvironmentUnready, match=r"payment\.port.*in use") as caught:
            await other.run(ChildContext("other"))
        assert "payment.port" in caught.value.hint


async def test_an_address_that_is_not_ours_is_an_error_that_names_the_setting() -> None:
    server = HttpServer(App(), "203.0.113.1", 0)
    with pytest.raises(EnvironmentUnready, match=r"http\.port.*203\.0\.113\.1"):
        await server.run(ChildContext("http"))


async def test_stop_ends_streams_and_leaves_no_trace(
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = App()
    with caplog.at_level(logging.WARNING):
        async with serving(app, stop_streams=app.stop_streams) as (server, context):
            stream, _ = await get(server.port, b"/events", until=b"data: 1")
            context.stopping.set()
            assert b"served" in await read_to_end(stream)
            await stream.aclose()
    assert app.lifespan == ["up", "down"]
    assert caplog.records == []


async def test_a_request_that_outlasts_its_grace_is_cancelled() -> None:
    app = App()
    async with serving(app, grace_s=0.01) as (server, context):
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        await stream.send(GET % b"/slow")
        await app.streaming.wait()
        context.stopping.set()
        await app.cancelled.wait()
        await read_to_end(stream)
        await stream.aclose()
    assert app.lifespan == ["up", "down"]


async def test_a_request_whose_task_is_cancelled_is_answered_with_try_again() -> None:
    app = App()
    async with serving(app) as (server, context):
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        await stream.send(GET % b"/slow")
        await app.streaming.wait()
        assert app.handler is not None
        app.handler.cancel()
        received = b""
        while b'"status":503}' not in received:
            received += await stream.receive()
        assert received.startswith(b"HTTP/1.1 503")
        assert b"content-length:" in received.lower()
        await stream.aclose()
        context.stopping.set()


async def test_an_application_that_says_nothing_is_spoken_for() -> None:
    """Quart returns in silence if the task in which it handles a request is cancelled."""
    async with serving(App()) as (server, context):
        stream, received = await get(server.port, b"/silent", until=b'"status":503}')
        assert received.startswith(b"HTTP/1.1 503")
        await stream.aclose()
        context.stopping.set()


async def test_a_connection_that_ends_with_its_request_leaves_no_timer() -> None:
    """The request ends after the reading, and would wait for a client that is gone."""
    app = App()
    async with serving(app) as (server, context):
        stream = await anyio.connect_tcp("127.0.0.1", server.port)
        await stream.send(GET % b"/slow")
        await app.streaming.wait()
        (connection,) = server._open
        [reading] = [task for task in asyncio.all_tasks() if "accept" in repr(task.get_coro())]
        reading.cancel()
        await until(lambda: server.connections == 0)
        assert connection._idle is None
        await stream.aclose()
        context.stopping.set()


async def test_a_connection_that_is_cancelled_is_no_error() -> None:
    """A process that ends in disorder cancels its tasks."""
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: errors.append(context))
    async with serving(App()) as (server, context):
        stream, _ = await get(server.port, b"/", until=b"served")
        [reading] = [task for task in asyncio.all_tasks() if "accept" in repr(task.get_coro())]
        reading.cancel()
        assert await read_to_end(stream) is not None
        await until(lambda: server.connections == 0 and reading.done())
        await stream.aclose()
        context.stopping.set()
    assert errors == []


async def test_an_idle_connection_does_not_hold_up_the_stop() -> None:
    async with serving(App()) as (server, context):
        stream, _ = await get(server.port, b"/", until=b"served")
        context.stopping.set()
        assert await read_to_end(stream) is not None
        await stream.aclose()


async def test_after_a_restart_the_port_is_the_same() -> None:
    app = App()
    server = HttpServer(app, "127.0.0.1", 0)
    ports = []
    for _ in range(2):
        started = anyio.Event()
        context = ChildContext("http", started.set)
        async with anyio.create_task_group() as group:
            group.start_soon(server.run, context)
            await started.wait()
            ports.append(server.port)
            context.stopping.set()
    assert ports[0] == ports[1] != 0


async def test_two_servers_share_one_loop() -> None:
    async with serving(App()) as (one, _), serving(App()) as (two, _):
        assert one.port != two.port
        for server in (one, two):
            stream, _ = await get(server.port, b"/", until=b"served")
            await stream.aclose()


async def test_a_cancelled_server_ends() -> None:
    server = HttpServer(App(), "127.0.0.1", 0)
    started = anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(server.run, ChildContext("http", started.set))
        await started.wait()
        group.cancel_scope.cancel()


async def test_an_application_that_raises_costs_its_request_only(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(App()) as (server, _):
        stream, received = await get(server.port, b"/broken", until=b"\r\n\r\n")
        assert received.startswith(b"HTTP/1.1 500")
        await stream.aclose()
        stream, received = await get(server.port, b"/", until=b"served")
        await stream.aclose()
    assert "Error in ASGI Framework" in caplog.text
