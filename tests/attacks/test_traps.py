"""Traps of the packages below us, each as it is in the version that we use.

Every test here shows what a package does on its own, beside it stands what is done about it. One
that fails after an upgrade is good news: the package was fixed, and our defence may be too much.
"""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import anyio
import anyio.lowlevel
import msgspec
import pytest
from hypercorn.asyncio.run import worker_serve
from hypercorn.config import Config
from hypercorn.typing import ASGIFramework
from hypercorn.utils import wrap_app
from quart import Quart, request

from tests.harness.raw_http import HOST, ask, until_answered

LIMIT = 64 * 1024


async def refuses_at_once(
    scope: Any, _: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
) -> None:
    """An application that answers without reading what it was sent."""
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


@pytest.fixture
async def hypercorn() -> AsyncIterator[int]:
    """Hypercorn as it comes, with its own worker."""
    config, told = Config(), anyio.Event()
    config.bind = ["127.0.0.1:0"]
    config.errorlog = logging.getLogger("quiet")
    config.graceful_timeout = 0.01
    sockets = config.create_sockets()
    app = wrap_app(cast("ASGIFramework", refuses_at_once), 0, "asgi")
    async with anyio.create_task_group() as group:

        async def serve() -> None:
            await worker_serve(app, config, sockets=sockets, shutdown_trigger=told.wait)

        group.start_soon(serve)
        yield sockets.insecure_sockets[0].getsockname()[1]
        told.set()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/9.9\r\n" + HOST, 200),
        (b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n" + HOST, 200),
        (b"GET / HTTP/1.1\r\nX: a\r\n b\r\n" + HOST, 200),
        (b"GET / HTTP/1.1\nX: \x01\n" + HOST, 200),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n" + HOST, 501),
    ],
    ids=["version", "CL and TE", "folded", "line feeds", "transfer coding"],
)
async def test_hypercorn_takes_what_http_connection_and_the_guard_refuse(
    hypercorn: int, head: bytes, status: int
) -> None:
    assert (await ask(hypercorn, head + b"\r\n"))[0] == status


@pytest.mark.parametrize(
    ("opening", "answer"),
    [
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\x00\x00*\x04"),  # a SETTINGS frame
        (b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n" + HOST + b"\r\n", b"HTTP/1.1 101"),
    ],
)
async def test_hypercorn_speaks_http_2_to_whoever_asks(
    hypercorn: int, opening: bytes, answer: bytes
) -> None:
    async with await anyio.connect_tcp("127.0.0.1", hypercorn) as stream:
        await stream.send(opening)
        assert (await stream.receive()).startswith(answer)


async def test_hypercorn_never_closes_on_a_body_that_nobody_reads(hypercorn: int) -> None:
    """`runtime.http_connection` drops what an application that has ended was to read."""
    head = b"POST / HTTP/1.1\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n" + HOST
    async with await anyio.connect_tcp("127.0.0.1", hypercorn) as stream:
        await stream.send(head + b"\r\n" + b"1\r\na\r\n" * 3000)
        assert (await until_answered(stream)).startswith(b"HTTP/1.1 200")
        with anyio.move_on_after(0.5) as waiting:
            await stream.receive()
    assert waiting.cancelled_caught, "it was closed: as it should be"


def quart_app() -> Quart:
    app = Quart("traps")
    app.config["MAX_CONTENT_LENGTH"] = LIMIT

    @app.post("/iterates")
    async def iterates() -> str:
        return str(sum([len(part) async for part in request.body]))

    @app.post("/reads")
    async def reads() -> str:
        return str(len(await request.get_data()))

    @app.post("/decodes")
    async def decodes() -> str:
        return str(await request.get_json())

    @app.get("/here")
    async def here() -> str:
        return request.path

    return app


async def _posted(app: Quart, path: str, chunks: int) -> int:
    """Post so many chunks of 32 KiB, as a server hands them over, without a Content-Length."""
    connection = app.test_client().request(path, method="POST")
    async with connection:
        for _ in range(chunks):
            await connection.send(b"x" * (LIMIT // 2))
            for _ in range(5):
                await anyio.lowlevel.checkpoint()
        await connection.send_complete()
    return int((await connection.as_response()).status_code)


async def test_quarts_limit_of_a_body_does_not_hold_for_who_iterates_over_it() -> None:
    """`tests/test_tidy.py` forbids it: bodies are read whole, by get_data()."""
    assert await _posted(quart_app(), "/reads", 3) == 413
    assert await _posted(quart_app(), "/iterates", 256) == 200  # 8 MiB


async def test_quart_fails_on_a_target_that_is_no_path() -> None:
    """`actors.guard` lets none through."""
    scope = {"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http"}
    scope |= {"path": "", "raw_path": b"", "query_string": b"a", "headers": []}

    async def nothing(*_: object) -> None:
        return None

    with pytest.raises(IndexError):
        await quart_app()(cast("Any", scope), cast("Any", nothing), nothing)


async def test_quart_gives_every_path_further_names() -> None:
    """`actors.guard` lets none through."""
    response = await quart_app().test_client().get("//here")
    assert (response.status_code, await response.get_data(as_text=True)) == (200, "/here")


async def test_quart_fails_on_json_that_is_nested_deeply(caplog: pytest.LogCaptureFixture) -> None:
    """`actors.gateway.decoding` and its kin decode, and know all three ways to fail."""
    kind = {"Content-Type": "application/json"}
    response = await quart_app().test_client().post("/decodes", data=b"[" * 60_000, headers=kind)
    assert response.status_code == 500
    assert "RecursionError" in caplog.text


async def test_a_client_that_hangs_up_cancels_its_handler_natively_through_any_shield() -> None:
    """Commands are carried out by the service's own task (tests/actors/gateway/test_hang_up.py)."""
    app = quart_app()
    begun, finished = anyio.Event(), anyio.Event()

    @app.post("/shielded")
    async def shielded() -> str:
        with anyio.CancelScope(shield=True):
            begun.set()
            await anyio.sleep(0.2)
            finished.set()
        return "done"

    connection = app.test_client().request("/shielded", method="POST")
    async with connection:
        await connection.send_complete()
        with anyio.fail_after(5):
            await begun.wait()
        await connection.disconnect()
    await anyio.sleep(0.3)
    assert not finished.is_set(), "the shield holds: as it should"


class Sample(msgspec.Struct, forbid_unknown_fields=True):
    text: str = ""
    count: int = 0


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"x":' * 2000, RecursionError),
        (b"[" * 2000, RecursionError),
        (b'{"text":"\xff"}', UnicodeDecodeError),
        (b'{"text":"\\ud800"}', msgspec.DecodeError),
        (b'{"count":1.5}', msgspec.ValidationError),
    ],
)
def test_msgspec_fails_in_three_ways(body: bytes, error: type[Exception]) -> None:
    """`actors.gateway.decoding.decode` and its kin catch all of them."""
    kind = object if error is RecursionError else Sample
    with pytest.raises(error) as caught:
        msgspec.json.decode(body, type=kind)
    assert isinstance(caught.value, msgspec.MsgspecError) == issubclass(error, msgspec.MsgspecError)


def test_msgspec_quotes_what_it_refuses() -> None:
    """No message of its own is passed on or logged: only our words, and where."""
    with pytest.raises(msgspec.ValidationError, match="4242424242424242"):
        msgspec.json.decode(b'{"4242424242424242":1}', type=Sample)


def test_msgspec_takes_any_number_and_the_last_of_two() -> None:
    """Numbers have bounds in their types; what is fingerprinted is the decoded struct."""
    assert msgspec.json.decode(b'{"count":1' + b"0" * 400 + b"}", type=Sample).count == 10**400
    assert msgspec.json.decode(b'{"count":1,"count":2}', type=Sample).count == 2
    assert msgspec.json.decode(b'{"text":"\\u0000\\u202e"}', type=Sample).text == "\0\u202e"
