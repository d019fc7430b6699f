"""Heads of requests over a real socket: what is read, and what is refused."""

import anyio
import pytest

from runtime.http import HttpServer
from runtime.http_heads import HEAD_BYTES_MAX, HEAD_LINES_MAX
from tests.harness.asked_app import App
from tests.harness.raw_http import HOST, ask, until_answered, until_closed


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\n\t\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x01\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX : 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n: 1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa4 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_cannot_be_read_or_is_read_in_two_ways_is_a_problem(
    app: App, server: HttpServer, head: bytes
) -> None:
    status, headers, body = await ask(server.port, head)
    assert (status, headers["content-type"]) == (400, "application/problem+json")
    assert body == b'{"type":"about:blank","title":"Bad Request","status":400}'
    assert headers["connection"] == "close"
    assert app.in_work == 0


@pytest.mark.parametrize(
    ("fields", "status", "told"),
    [
        (b"Accept: text/html,*/*;q=0.8\r\nX : 1\r\n", 400, "cannot be read"),
        (b"ACCEPT:application/xhtml+xml, TEXT/HTML\r\nX : 1\r\n", 400, "cannot be read"),
        (b"Accept: text/html\r\nCookie: %b\r\n" % (b"a" * HEAD_BYTES_MAX), 431, "cookies"),
    ],
)
async def test_a_browser_reads_why_on_a_page(
    server: HttpServer, fields: bytes, status: int, told: str
) -> None:
    answered, headers, body = await ask(
        server.port, b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n"
    )
    assert (answered, headers["content-type"]) == (status, "text/html; charset=utf-8")
    assert told in body.decode()
    assert headers["connection"] == "close"


@pytest.mark.parametrize("fields", [b"X-Accept: text/html\r\n", b"Accept: a/b\r\nX: text/html\r\n"])
async def test_everybody_else_reads_a_problem(server: HttpServer, fields: bytes) -> None:
    head = b"GET / HTTP/1.1\r\n" + HOST + fields + b"Y : 1\r\n\r\n"
    _, headers, _ = await ask(server.port, head)
    assert headers["content-type"] == "application/problem+json"


async def test_a_head_in_any_pieces_is_the_same_head(server: HttpServer) -> None:
    request = b"GET /here HTTP/1.1\r\n" + HOST + b"X: \xe4\tb\r\n\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        for byte in request:
            await stream.send(bytes([byte]))
        assert b"GET /here HTTP/1.1" in (await until_answered(stream)).partition(b"\r\n\r\n")[2]
        # And the next ones on the same connection, two at once.
        await stream.send(request + request.replace(b"here", b"there"))
        with anyio.fail_after(5):
            received = b""
            while b"GET /there" not in received:
                received += await stream.receive()


async def test_a_second_head_on_a_connection_is_looked_at_too(server: HttpServer) -> None:
    good = b"GET / HTTP/1.1\r\n" + HOST + b"\r\n"
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(good + good.replace(b"\r\n", b"\n"))
        received = await until_closed(stream)
    assert received.startswith(b"HTTP/1.1 200")
    assert b"HTTP/1.1 400" in received


@pytest.mark.parametrize("lines", [HEAD_LINES_MAX, HEAD_LINES_MAX + 1])
async def test_the_lines_of_a_head_are_limited(server: HttpServer, lines: int) -> None:
    fields = b"a:\r\n" * (lines - 3)
    status, _, _ = await ask(server.port, b"GET / HTTP/1.1\r\n" + HOST + fields + b"\r\n")
    assert status == (200 if lines == HEAD_LINES_MAX else 431)


@pytest.mark.parametrize("size", [HEAD_BYTES_MAX, HEAD_BYTES_MAX + 1])
async def test_the_bytes_of_a_head_are_limited_also_where_its_end_is_there(
    server: HttpServer, size: int
) -> None:
    head = b"GET / HTTP/1.1\r\n" + HOST + b"X: \r\n\r\n"
    padded = head.replace(b"X: ", b"X: " + b"a" * (size - len(head)))
    status, _, _ = await ask(server.port, padded)
    assert status == (200 if size == HEAD_BYTES_MAX else 431)
