"""The watchers' client of server-sent events: frames are whole, however the bytes are cut."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sim.client import NoAnswer
from sim.engine import engine
from sim.event_stream import EventStream
from sim.incarnation import Incarnation
from sim.seed import Seed

HEAD = b"HTTP/1.1 200 \r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
FRAMES = b'retry: 1000\n\nid: 1\nevent: order.event\ndata: {"a": "b: c"}\n\n: still here\n\n'
LIKE = [
    {"retry": "1000"},
    {"id": "1", "event": "order.event", "data": '{"a": "b: c"}'},
    {"": "still here"},
]
PATIENCE_S = 5.0


def chunked(content: bytes, size: int) -> bytes:
    parts = [content[at : at + size] for at in range(0, len(content), size)]
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def play(
    answer: bytes, work: Callable[[], Coroutine[Any, Any, None]], *, hangs_up: bool = False
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        if not hangs_up:
            await reader.read()
        writer.close()

    with engine(Seed(1)) as made:
        made.network.path("server", "client").split = 0.9

        async def main() -> None:
            await Incarnation("server", 1).spawn(asyncio.start_server(serve, "0.0.0.0", 80))
            await Incarnation("client", 1).spawn(work())

        made.run(main())
        assert made.loop.mishaps == []


async def opened(port: int = 80) -> EventStream:
    return await EventStream.open("server", port, b"GET / HTTP/1.1\r\n\r\n", PATIENCE_S)


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
def test_frames_are_read_however_they_are_cut(size: int) -> None:
    async def work() -> None:
        stream = await opened()
        assert stream.status == 200
        assert [await stream.frame(PATIENCE_S) for _ in LIKE] == LIKE
        assert await stream.frame(PATIENCE_S) is None
        stream.close()

    play(HEAD + chunked(FRAMES, size), work)


@pytest.mark.parametrize("end", [b"0\r\n\r\n", b"", b"10\r\nhal"])
def test_the_end_of_a_stream_is_its_last_frame_whatever_ends_it(end: bytes) -> None:
    async def work() -> None:
        stream = await opened()
        assert [await stream.frame(PATIENCE_S) for _ in LIKE] == LIKE
        since = asyncio.get_running_loop().time()
        assert await stream.frame(PATIENCE_S) is None
        assert asyncio.get_running_loop().time() < since + 1
        stream.close()

    play(HEAD + chunked(FRAMES, 9) + end, work, hangs_up=True)


def test_a_refusal_is_no_stream() -> None:
    async def work() -> None:
        stream = await opened()
        assert (stream.status, await stream.frame(PATIENCE_S)) == (429, None)

    play(b"HTTP/1.1 429 \r\ncontent-length: 2\r\n\r\nno", work)


def test_a_stream_that_falls_silent_or_is_closed_has_no_more_frames() -> None:
    async def work() -> None:
        stream = await opened()
        assert [await stream.frame(PATIENCE_S) for _ in LIKE] == LIKE
        since = asyncio.get_running_loop().time()
        assert await stream.frame(PATIENCE_S) is None
        assert asyncio.get_running_loop().time() >= since + PATIENCE_S
        waiting = asyncio.ensure_future(stream.frame(100))
        await asyncio.sleep(0)
        stream.close()
        assert await waiting is None
        assert asyncio.get_running_loop().time() < since + 2 * PATIENCE_S

    play(HEAD + chunked(FRAMES, 9), work)


@pytest.mark.parametrize("said", [b"", HEAD[:30]])
@pytest.mark.parametrize("hangs_up", [False, True])
def test_no_answer_is_none(said: bytes, hangs_up: bool) -> None:
    async def work() -> None:
        with pytest.raises(NoAnswer):
            await opened()

    play(said, work, hangs_up=hangs_up)


def test_nobody_there_is_no_answer() -> None:
    async def work() -> None:
        with pytest.raises(NoAnswer, match="ConnectionRefusedError"):
            await opened(81)

    play(b"", work)
