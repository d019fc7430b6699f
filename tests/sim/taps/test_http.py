"""Somebody in the middle of an HTTP connection keeps what he keeps in order."""

import asyncio
import random

from sim.chance import Chance
from sim.engine import engine
from sim.incarnation import Incarnation
from sim.seed import Seed
from sim.taps.http import HttpRule, HttpTap
from sim.taps.switchboard import Switchboard

REPLY = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def late(tap: HttpTap, data: bytes) -> None:
    tap.keep()
    tap.pass_on(data, to_server=False)
    tap.later(5.0, tap.release)


def test_a_late_reply_comes_before_the_end_that_follows_it() -> None:
    got: list[tuple[bytes, bool]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(REPLY)
        writer.close()

    async def listen() -> None:
        await asyncio.start_server(serve, "0.0.0.0", 80)

    async def ask() -> None:
        reader, writer = await asyncio.open_connection("server", 80)
        writer.write(b"POST / HTTP/1.1\r\n\r\n")
        loop = asyncio.get_running_loop()
        began = loop.time()
        got.append((await reader.read(), loop.time() - began > 5.0))
        writer.close()

    with engine(Seed(1)) as made:
        board = Switchboard(made.network, amqp=False, http=True)
        nodes = "client", "server"
        board.http_rules.append(HttpRule("reply", late, Chance(random.Random(1)), nodes))

        async def main() -> None:
            await Incarnation("server", 1).spawn(listen())
            await Incarnation("client", 1).spawn(ask())

        made.run(main())
        assert made.mishaps == []
    assert got == [(REPLY, True)]
