"""The simulated network: order, silence, resets, and what peers of the dead find out."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from sim.engine import Engine, engine
from sim.incarnation import Incarnation
from sim.seed import Seed


class World:
    """Two nodes on one network: ``server`` echoes into ``heard``, ``client`` connects to it."""

    def __init__(self, made: Engine) -> None:
        self.engine = made
        self.network = made.network
        self.server = Incarnation("server", 1)
        self.client = Incarnation("client", 1)
        self.heard = bytearray()
        self.ends: list[str] = []

    async def open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        await self.server.spawn(asyncio.start_server(self._serve, "0.0.0.0", 7000))
        return await self.client.spawn(asyncio.open_connection("server", 7000))

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.heard += data
            self.ends.append("eof")
        except ConnectionError as error:
            self.ends.append(type(error).__name__)
        writer.close()


def play(work: Callable[[World], Coroutine[Any, Any, None]], seed: int = 1) -> World:
    with engine(Seed(seed)) as made:
        world = World(made)
        made.run(work(world))
        assert made.loop.mishaps == []
        return world


def test_bytes_arrive_in_order_in_however_many_pieces() -> None:
    sent = bytes(range(256)) * 40

    async def work(world: World) -> None:
        world.network.path("client", "server").split = 0.9
        _, writer = await world.open()
        for start in range(0, len(sent), 100):
            writer.write(sent[start : start + 100])
        writer.close()
        await asyncio.sleep(1)

    for seed in range(5):
        world = play(work, seed)
        assert bytes(world.heard) == sent
        assert world.ends == ["eof"]


def test_a_silent_path_tells_nobody_and_loses_nothing() -> None:
    async def work(world: World) -> None:
        _, writer = await world.open()
        world.network.path("client", "server").silent = True
        writer.write(b"one")
        await asyncio.sleep(60)
        assert world.heard == b""
        assert not writer.transport.is_closing()
        world.network.path("client", "server").silent = False
        world.network.release()
        writer.write(b"two")
        await asyncio.sleep(1)

    assert play(work).heard == b"onetwo"


def test_nobody_listens_means_refused_and_loopback_is_for_the_own_node() -> None:
    async def work(world: World) -> None:
        with pytest.raises(ConnectionRefusedError):
            await world.client.spawn(asyncio.open_connection("server", 9999))
        await world.server.spawn(asyncio.start_server(lambda r, w: None, "127.0.0.1", 7001))
        with pytest.raises(ConnectionRefusedError):
            await world.client.spawn(asyncio.open_connection("server", 7001))
        await world.server.spawn(asyncio.open_connection("127.0.0.1", 7001))

    play(work)


def test_a_port_is_taken_once() -> None:
    async def work(world: World) -> None:
        await world.open()
        with pytest.raises(OSError, match="bind on address"):
            await world.server.spawn(asyncio.start_server(lambda r, w: None, "0.0.0.0", 7000))

    play(work)


def test_a_cut_connection_is_a_reset_for_both() -> None:
    async def work(world: World) -> None:
        reader, _ = await world.open()
        (wire,) = world.network.between("client", "server")
        wire.cut()
        with pytest.raises(ConnectionResetError):
            await reader.read()
        await asyncio.sleep(1)
        assert world.network.wires == {}

    assert play(work).ends == ["ConnectionResetError"]


def test_the_peer_of_a_killed_process_gets_a_reset_at_once() -> None:
    async def work(world: World) -> None:
        reader, _ = await world.open()
        world.engine.loop.kill(world.server)
        world.network.died(world.server, told=True)
        with pytest.raises(ConnectionResetError):
            await reader.read()

    play(work)


def test_the_peer_of_a_machine_without_power_hears_nothing_until_it_sends_to_it_again() -> None:
    async def work(world: World) -> None:
        reader, writer = await world.open()
        world.engine.loop.kill(world.server)
        world.network.died(world.server, told=False)
        writer.write(b"into the void")
        await asyncio.sleep(60)
        assert not writer.transport.is_closing()
        world.network.without_power.discard("server")  # it is back, with a kernel that forgot us
        await asyncio.sleep(60)
        assert not writer.transport.is_closing()
        writer.write(b"anybody there?")
        with pytest.raises(ConnectionResetError):
            await reader.read()

    play(work)


def test_writing_pauses_while_the_reader_does_not_read() -> None:
    async def work(world: World) -> None:
        async def never(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            reader._transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(30)
            reader._transport.resume_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(30)

        await world.server.spawn(asyncio.start_server(never, "0.0.0.0", 7002))
        _, writer = await world.client.spawn(asyncio.open_connection("server", 7002))

        async def push() -> float:
            writer.write(b"x" * 100_000)
            await writer.drain()
            return world.engine.now

        assert await world.client.spawn(push()) >= 30

    play(work)
