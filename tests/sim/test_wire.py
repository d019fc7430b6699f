"""Bytes on a wire arrive in order, whatever the weather does to them."""

import asyncio
from collections.abc import Callable
from contextvars import Context
from types import SimpleNamespace
from typing import cast

import pytest

from sim.engine import Engine, engine
from sim.incarnation import Incarnation
from sim.seed import Seed
from sim.weather import Path
from sim.wire import End, Wire

SENT = bytes(range(256)) * 40


def change(path: Path, **weather: float) -> None:
    for name, value in weather.items():
        setattr(path, name, value)


async def received(made: Engine) -> bytes:
    """Send in small writes from one node to another while the weather changes all the time."""
    got = bytearray()
    done = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            got.extend(data)
        writer.close()
        done.set()

    async def listen() -> None:
        await asyncio.start_server(serve, "0.0.0.0", 80)

    async def send() -> None:
        _, writer = await asyncio.open_connection("server", 80)
        for start in range(0, len(SENT), 64):
            writer.write(SENT[start : start + 64])
            await asyncio.sleep(0.004)
        writer.close()

    await Incarnation("server", 1).spawn(listen())
    sending = Incarnation("client", 1).spawn(send())
    path = made.network.path("client", "server")
    change(path, split=0.8, late_s=0.05)
    for number in range(30):
        change(path, gather_s=0.03 * (number % 2), bytes_per_s=5000.0 * (number % 3))
        path.silent = number % 5 == 4
        made.network.release()
        await asyncio.sleep(0.02)
    path.heal()
    made.network.release()
    await sending
    await done.wait()
    return bytes(got)


@pytest.mark.parametrize("seed", range(5))
def test_bytes_keep_their_order_in_changing_weather(seed: int) -> None:
    got: list[bytes] = []
    with engine(Seed(seed)) as made:

        async def main() -> None:
            got.append(await received(made))

        made.run(main())
        assert made.network.path("client", "server").touched > 50
    assert got == [SENT]


class Told(asyncio.Protocol):
    """Knows what it was told, as asyncio's own streams do: twice the same is an error."""

    paused = False

    def pause_writing(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_writing(self) -> None:
        assert self.paused
        self.paused = False


def test_a_writer_that_may_go_on_and_writes_too_much_at_once_is_told_once() -> None:
    soon: list[Callable[[], None]] = []
    loop = SimpleNamespace(call_soon=lambda call, context: soon.append(call))
    end = End(cast("Wire", SimpleNamespace(loop=loop)), Context())
    end.protocol = told = Told()
    end.sent(100_000)
    assert told.paused
    end.taken(100_000)
    end.sent(100_000)  # before it has heard that it may go on
    for call in soon:
        call()
    assert told.paused
    end.taken(100_000)
    soon[-1]()
    assert not told.paused
