"""The services' internal sides refuse what breaks HTTP, before Quart fails on it."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.routing import Map

from actors.guard import Guarded, joined, objection
from actors.status import status_app
from runtime.http import HttpServer
from runtime.telemetry import Telemetry
from tests.harness.raw_http import HOST, ask
from tests.harness.running import running


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
async def port(log: list[str]) -> AsyncIterator[int]:
    async def status() -> object:
        return {}

    telemetry = Telemetry(wall=lambda: 0.0, log_format="json", write=log.append)
    app = status_app("payment", checks={}, telemetry=telemetry, status=status)
    server = HttpServer(Guarded(app), "127.0.0.1", 0)
    async with running(server.run):
        yield server.port


@pytest.mark.parametrize(
    "head",
    [
        b"GET ?a HTTP/1.1\r\n" + HOST,
        b"GET http://other/ HTTP/1.1\r\n" + HOST,
        b"GET /healthz HTTP/9.9\r\n" + HOST,
        b"GET /healthz HTTP/1.1\r\nUpgrade: h2c\r\n" + HOST,
        b"GET /healthz HTTP/1.1\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n" + HOST,
    ],
)
async def test_a_request_that_breaks_http_is_a_problem(
    log: list[str], port: int, head: bytes
) -> None:
    status, headers, body = await ask(port, head + b"\r\n")
    assert status == 400
    assert headers["content-type"] == "application/problem+json"
    assert headers["connection"] == "close"
    assert b"/problems/bad-request" in body
    assert log == []


async def test_what_is_let_through_is_kept_by_no_cache(port: int) -> None:
    status, headers, body = await ask(port, b"GET /healthz HTTP/1.1\r\n" + HOST + b"\r\n")
    assert (status, body) == (200, b'{"status":"ok"}')
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"


NAMES = st.text("aZ09-_.:[]", max_size=80).map(str.encode)


@given(NAMES | st.from_regex(rb"[a-z0-9-]{60,66}(\.[a-z]+)?(:[0-9]{1,6})?", fullmatch=True))
def test_a_host_that_is_taken_is_one_that_werkzeug_takes(host: bytes) -> None:
    scope = {"http_version": "1.1", "path": "/", "raw_path": b"/", "query_string": b""}
    if objection(scope, {b"host": host}) is None:
        Map().bind(host.decode())


@pytest.mark.parametrize(
    "host",
    [b"shop.example", b"shop.example.", b"127.0.0.1:8080", b"[::1]:80", b"a_b", b"a" * 63, b"x"],
)
def test_ordinary_hosts_are_taken(host: bytes) -> None:
    scope = {"http_version": "1.1", "path": "/", "raw_path": b"/", "query_string": b""}
    assert objection(scope, {b"host": host}) is None


@pytest.mark.parametrize("host", [b"", b"a" * 64, b"a..b", b".a", b"-a", b"a:b", b"[]", b"a b"])
def test_odd_hosts_are_not(host: bytes) -> None:
    scope = {"http_version": "1.1", "path": "/", "raw_path": b"/", "query_string": b""}
    assert "Host" in (objection(scope, {b"host": host}) or "")


@pytest.mark.parametrize("path", [b"//healthz", b"/%2Fhealthz", b"///healthz", b"//other/healthz"])
async def test_a_path_has_one_name_only(port: int, path: bytes) -> None:
    assert (await ask(port, b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n"))[0] == 400


@pytest.mark.parametrize("path", [b"/healthz/", b"/a//b", b"/internal//v1/status"])
async def test_another_path_is_no_redirect(port: int, path: bytes) -> None:
    status, headers, _ = await ask(port, b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n")
    assert status == 404
    assert "location" not in headers


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
