"""What is refused before Quart sees it, asked with raw bytes over a real connection."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import pytest

from actors.gateway.context import Limits
from runtime.http import HttpServer
from tests.harness.gateway import ORDER, World, gateway_world
from tests.harness.parties import Gate
from tests.harness.raw_http import HOST, ask
from tests.harness.running import running


@pytest.fixture
async def port(world: World) -> AsyncIterator[int]:
    server = HttpServer(world.app, "127.0.0.1", 0, stop_streams=world.streams.stop)
    async with running(server.run):
        yield server.port


@pytest.mark.parametrize(
    ("head", "reason"),
    [
        (b"GET ?a HTTP/1.1\r\n" + HOST, "path"),
        (b"GET * HTTP/1.1\r\n" + HOST, "path"),
        (b"GET http://other/ HTTP/1.1\r\n" + HOST, "path"),
        (b"GET /healthz HTTP/9.9\r\n" + HOST, "HTTP/1.1"),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\n" + HOST, "2 KiB"),
        (b"GET /healthz?" + b"a" * 3000 + b" HTTP/1.1\r\n" + HOST, "2 KiB"),
        (b"GET /healthz HTTP/1.1\r\nHost: a b\r\n", "Host"),
        (b"GET /healthz HTTP/1.1\r\nHost: \xff\r\n", "Host"),
        (b"GET /healthz HTTP/1.1\r\nUpgrade: websocket\r\n" + HOST, "upgrade"),
        (b"POST /v1/orders HTTP/1.1\r\nExpect: magic\r\n" + HOST, "Expect"),
        (
            b"POST /v1/orders HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n"
            + HOST,
            "Transfer-Encoding",
        ),
    ],
)
async def test_a_request_that_breaks_http_is_a_problem(port: int, head: bytes, reason: str) -> None:
    status, headers, body = await ask(port, head + b"\r\n")
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert headers["request-id"].startswith("req_")
    assert headers["x-content-type-options"] == "nosniff"
    assert reason in body.decode()


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00\x01\x02\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_at_all_is_no_error_of_ours(
    world: World, port: int, request_: bytes
) -> None:
    status, _, _ = await ask(port, request_)
    assert status == 0 or 400 <= status < 500
    assert world.log == []


async def test_there_are_no_websockets(world: World, port: int) -> None:
    head = b"GET /v1/orders HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + HOST
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    status, _, body = await ask(port, head + key)
    assert status == 400
    assert b"upgrade" in body
    assert world.log == []


async def test_an_ordinary_request_passes(port: int) -> None:
    request = b"GET /%2e%2e/%ff%00?%ff=%00 HTTP/1.1\r\n" + HOST + b"\r\n"
    assert (await ask(port, request))[0] == 404
    request = b"HEAD /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    status, _, body = await ask(port, request)
    assert (status, body) == (200, b"")


class Slow:
    """Puts a gate in front of a gateway's reads and writes."""

    def __init__(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        self.gate = Gate()
        client = type(world.parts.client("gateway"))
        for name in ("order", "execute"):
            monkeypatch.setattr(client, name, self._gated(getattr(client, name)))

    def _gated(self, method: Any) -> Any:
        async def gated(*arguments: Any, **named: Any) -> Any:
            await self.gate.passing()
            return await method(*arguments, **named)

        return gated


def in_work(world: World) -> dict[tuple[str, ...], float]:
    return world.telemetry.gauges("http_requests_in_work")


async def test_more_than_there_is_room_for_is_told_to_come_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = Limits(rate_per_min=None, requests_max=2)
    async with gateway_world(tmp_path, limits=limits) as world:
        placed = await world.place()
        slow = Slow(world, monkeypatch)
        reads: list[int] = []
        writes: list[int] = []

        async def read() -> None:
            reads.append((await world.call("GET", placed.path, headers=placed.auth)).status)

        async def write() -> None:
            writes.append((await world.call("POST", "/v1/orders", ORDER)).status)

        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(read)
                group.start_soon(write)
            await anyio.wait_all_tasks_blocked()
            assert in_work(world) == {("read",): 2, ("write",): 2}
            for method, path, body in (("GET", placed.path, None), ("POST", "/v1/orders", ORDER)):
                answer = await world.call(method, path, body, placed.auth if body is None else {})
                assert (answer.status, answer.slug) == (503, "overloaded")
                assert answer.headers["Retry-After"] == "1"
            for path in ("/healthz", "/readyz", "/metrics"):
                assert (await world.call("GET", path)).status == 200
            slow.gate.open()
        assert (reads, writes) == ([200, 200], [201, 201])
        assert in_work(world) == {("read",): 0, ("write",): 0}
        assert (await world.call("GET", placed.path, headers=placed.auth)).status == 200


async def test_a_request_that_is_refused_gives_its_place_back(tmp_path: Path) -> None:
    async with gateway_world(tmp_path, limits=Limits(requests_max=1)) as world:
        placed = await world.place()
        for headers in ({}, {"Authorization": "Bearer x"}, placed.auth, placed.auth):
            assert (await world.call("GET", placed.path, headers=headers)).status != 503
