"""The customers' HTTP client: an answer is whole, or there is none."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any

import pytest

from sim.client import Client, NoAnswer
from sim.engine import engine
from sim.incarnation import Incarnation
from sim.seed import Seed

ANSWER = b"HTTP/1.1 200 OK\r\nETag: 7\r\nContent-Length: 11\r\n\r\nhello\r\n\r\nme"
LAST = ANSWER.replace(b"ETag: 7", b"ETag: 7\r\nConnection: close")


class Server:
    """Answers each request by the next of ``answers``; after another than `ANSWER` it hangs up."""

    def __init__(self, *answers: bytes) -> None:
        self.answers = list(answers)
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with suppress(ConnectionError, EOFError):
            answer = ANSWER
            while self.answers and answer == ANSWER:
                await reader.readuntil(b"\r\n\r\n")
                answer = self.answers.pop(0)
                writer.write(answer)
        writer.close()


def play(server: Server, work: Callable[[Client], Coroutine[Any, Any, None]]) -> None:
    with engine(Seed(1)) as made:
        made.network.path("server", "client").split = 0.9

        async def main() -> None:
            listening = asyncio.start_server(server.serve, "0.0.0.0", 80)
            await Incarnation("server", 1).spawn(listening)
            await Incarnation("client", 1).spawn(work(Client("server", 80)))

        made.run(main())
        assert made.loop.mishaps == []


async def ask(client: Client) -> bytes:
    answer = await client.request("GET", "/", headers={})
    assert (answer.status, answer.headers["etag"]) == (200, "7")
    return answer.body


def test_answers_are_read_however_they_are_cut_and_on_one_connection() -> None:
    async def work(client: Client) -> None:
        for _ in range(20):
            assert await ask(client) == b"hello\r\n\r\nme"

    server = Server(*[ANSWER] * 20)
    play(server, work)
    assert server.connections == 1


def test_after_the_last_answer_of_a_connection_comes_another_one() -> None:
    async def work(client: Client) -> None:
        for _ in range(3):
            await ask(client)

    server = Server(LAST, LAST, ANSWER)
    play(server, work)
    assert server.connections == 3


@pytest.mark.parametrize("size", [0, 1, ANSWER.index(b"hello"), len(ANSWER) - 1])
def test_an_answer_that_is_cut_off_is_none_and_the_next_request_finds_a_new_connection(
    size: int,
) -> None:
    async def work(client: Client) -> None:
        with pytest.raises(NoAnswer, match="EOFError"):
            await ask(client)
        await ask(client)

    server = Server(ANSWER[:size], ANSWER)
    play(server, work)
    assert server.connections == 2


def test_nobody_there_and_nothing_in_time_are_no_answers() -> None:
    async def work(client: Client) -> None:
        with pytest.raises(NoAnswer, match="ConnectionRefusedError"):
            await Client("server", 81).request("GET", "/", headers={})
        late = asyncio.get_running_loop().time() + 10
        with pytest.raises(NoAnswer, match="TimeoutError"):
            await client.request("GET", "/", headers={})
        assert asyncio.get_running_loop().time() >= late

    server = Server()
    server.serve = _silent  # type: ignore[method-assign]
    play(server, work)


async def _silent(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read(1)
    await asyncio.sleep(100)
