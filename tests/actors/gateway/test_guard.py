"""What is refused before Quart sees it, asked with raw bytes over a real connection."""

from collections.abc import AsyncIterator, Mapping

import anyio
import pytest

from actors.gateway.guard import joined
from runtime.http import HttpServer
from tests.harness.gateway import World
from tests.harness.running import running


@pytest.fixture
async def port(world: World) -> AsyncIterator[int]:
    server = HttpServer(world.app, "127.0.0.1", 0, stop_streams=world.streams.stop)
    async with running(server.run):
        yield server.port


async def ask(port: int, request: bytes) -> tuple[int, Mapping[str, str], bytes]:
    """Send bytes, read until the server closes or the body is there."""
    async with await anyio.connect_tcp("127.0.0.1", port) as stream:
        await stream.send(request)
        received = b""
        with anyio.move_on_after(5):
            while not _whole(received):
                try:
                    received += await stream.receive()
                except (anyio.EndOfStream, anyio.BrokenResourceError):
                    break
    if not received:
        return 0, {}, b""
    head, _, body = received.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return int(lines[0].split()[1]), headers, body


def _whole(received: bytes) -> bool:
    head, _, body = received.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    ]
    return bool(lengths) and len(body) >= lengths[0]


HOST = b"Host: shop.example\r\n"


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
        b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_what_is_not_http_at_all_is_no_error_of_ours(
    world: World, port: int, request_: bytes
) -> None:
    status, _, _ = await ask(port, request_)
    assert status == 0 or 400 <= status < 500
    assert world.log == []


async def test_a_websocket_is_closed(world: World, port: int) -> None:
    head = b"GET /v1/orders HTTP/1.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" + HOST
    key = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    status, _, _ = await ask(port, head + key)
    assert status == 403
    assert world.log == []


async def test_an_ordinary_request_passes(port: int) -> None:
    request = b"GET /%2e%2e/%ff%00?%ff=%00 HTTP/1.1\r\n" + HOST + b"\r\n"
    assert (await ask(port, request))[0] == 404
    request = b"HEAD /healthz HTTP/1.1\r\nConnection: close\r\n" + HOST + b"\r\n"
    status, _, body = await ask(port, request)
    assert (status, body) == (200, b"")


@pytest.mark.parametrize(
    ("headers", "fields"),
    [
        ([], {}),
        ([(b"A", b"1"), (b"b", b"2")], {b"a": b"1", b"b": b"2"}),
        ([(b"A", b"1"), (b"b", b""), (b"a", b"3")], {b"a": b"1, 3", b"b": b""}),
    ],
)
def test_repeated_headers_are_one_list(
    headers: list[tuple[bytes, bytes]], fields: dict[bytes, bytes]
) -> None:
    assert joined(headers) == fields
