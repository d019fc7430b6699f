"""Each patch of the guard, by what goes wrong without it; real loops keep the originals."""

import asyncio
import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

import aiormq.base
import aiosqlite
import anyio
import anyio._backends._asyncio as anyio_asyncio
import anyio.lowlevel
import httpcore._backends.anyio as httpcore_anyio
import hypercorn.config
import pytest
from aiormq.tools import Countdown
from pamqp import commands
from quart import Quart

from sim import guard
from sim.engine import engine
from sim.incarnation import Incarnation
from sim.seed import EPOCH_S, Seed
from sim.socket_stand_in import SocketStandIn
from sim.sqlite import SimConnection


def play(work: Callable[[], Coroutine[Any, Any, Any]], seed: int = 1) -> Any:
    """Run ``work`` in a virtual world, as the only process of a node; return its result."""
    results: list[Any] = []

    async def main() -> None:
        results.append(await Incarnation("node", 1).spawn(work()))

    with engine(Seed(seed)) as made:
        made.run(main())
        assert made.loop.mishaps == []
    return results[0]


def test_another_version_of_a_library_is_refused_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    guard.install()
    monkeypatch.setattr(guard._entropy, "installed", False)
    monkeypatch.setitem(guard.VERSIONS, "aiormq", "7.2.3")
    with pytest.raises(guard.WrongVersion, match=r"aiormq 7\.2\.4 is installed.*sim/guard\.py"):
        guard.install()
    monkeypatch.undo()


def test_tasks_of_virtual_loops_are_known_to_their_loop_alone() -> None:
    async def work() -> tuple[set[Any], int, int]:
        loop: Any = asyncio.get_running_loop()
        mine: Any = asyncio.current_task()
        before = len(loop.tasks_of(mine.owner))
        other = asyncio.ensure_future(asyncio.sleep(0))
        between = len(loop.tasks_of(mine.owner))
        await other
        assert len(loop.tasks_of(mine.owner)) == before
        return asyncio.all_tasks(), before, between

    assert play(work) == (set(), 1, 2)

    async def real() -> bool:
        return asyncio.current_task() in asyncio.all_tasks()

    assert asyncio.run(real())


def test_clocks_show_virtual_time_inside_and_real_time_outside() -> None:
    async def work() -> tuple[float, float]:
        before = time.monotonic()
        await asyncio.sleep(1000)
        return time.monotonic() - before, time.time()

    began = time.perf_counter()
    passed, wall = play(work)
    assert 1000 <= passed < 1001
    assert EPOCH_S + 1000 <= wall < EPOCH_S + 1001
    assert time.perf_counter() - began < 100
    assert abs(time.time() - EPOCH_S) > 1


def test_aiormqs_countdown_runs_in_virtual_time() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        with pytest.raises(asyncio.TimeoutError):
            await Countdown(5)(asyncio.sleep(100))
        return loop.time()

    assert 5 <= play(work) < 5.1


def test_entropy_of_libraries_follows_from_the_seed_and_is_real_outside() -> None:
    async def work() -> tuple[bytes, float]:
        return os.urandom(16), random.random()

    first, again, other = play(work, 1), play(work, 1), play(work, 2)
    assert first == again
    assert first[0] != other[0]
    assert first[1] != other[1]
    assert os.urandom(16) != os.urandom(16)


def test_aiormqs_futures_end_in_the_order_they_were_made() -> None:
    async def work() -> list[int]:
        store = aiormq.base.FutureStore(asyncio.get_running_loop())
        ended: list[int] = []
        junk = []
        for number in range(40):
            future = store.create_future()
            future.add_done_callback(lambda _, number=number: ended.append(number))
            junk.append(bytearray(random.randrange(1, 5000)))  # addresses differ from run to run
        await store.reject_all(ConnectionError())
        await asyncio.sleep(0)
        return ended

    assert play(work) == list(range(40))


def test_a_cancel_scope_reaches_its_tasks_in_the_order_they_were_started() -> None:
    async def work() -> list[int]:
        ended: list[int] = []
        async with anyio.create_task_group() as group:
            for number in range(40):
                group.start_soon(_until_cancelled, number, ended)
            await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        return ended

    first = play(work, 3)
    assert sorted(first) == list(range(40))
    assert first == play(work, 3)
    assert isinstance(anyio_asyncio.CancelScope()._tasks, guard.OrderedSet)


async def _until_cancelled(number: int, ended: list[int]) -> None:
    try:
        await anyio.sleep_forever()
    finally:
        ended.append(number)


def test_no_address_goes_on_the_wire() -> None:
    frame = commands.Channel.Close(200, "ok", 0, 0)
    assert repr(frame) == str(frame) == "<Channel.Close>"


def test_aiosqlite_has_no_thread_inside_and_keeps_it_outside(tmp_path: Any) -> None:
    path = tmp_path / "some.db"

    async def work() -> tuple[int, Any, type]:
        async with aiosqlite.connect(path) as database:
            await database.execute("CREATE TABLE IF NOT EXISTS t (a)")
            return threading.active_count(), database._tx, type(database._conn)

    threads = threading.active_count()
    inside = play(work)
    assert inside[0] == threads
    assert inside[2] is SimConnection
    outside = asyncio.run(work())
    assert outside[0] == threads + 1
    assert outside[2] is sqlite3.Connection


def test_hypercorn_binds_stand_ins_inside_and_sockets_outside() -> None:
    async def work() -> Any:
        config = hypercorn.config.Config()
        config.bind = ["127.0.0.1:0"]
        return config.create_sockets().insecure_sockets[0]

    assert isinstance(play(work), SocketStandIn)
    real = asyncio.run(work())
    assert not isinstance(real, SocketStandIn)
    real.close()


def test_httpcore_asks_a_stand_in_whether_its_connection_is_good() -> None:
    """Without it httpcore takes every connection for readable, hence dead, and uses none again."""

    async def work() -> list[bool]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.close()

        await asyncio.start_server(answer, "127.0.0.1", 80)
        stream = await httpcore_anyio.AnyIOBackend().connect_tcp("127.0.0.1", 80)
        seen = [stream.get_extra_info("is_readable")]
        await stream.write(b"x")
        await asyncio.sleep(1)
        seen.append(stream.get_extra_info("is_readable"))
        await stream.aclose()
        return seen

    assert play(work) == [False, True]


def test_a_remembered_url_builder_builds_the_same_url() -> None:
    def app(rule: str) -> Any:
        made = Quart("app", static_folder=None)
        made.add_url_rule(rule, "there", lambda **_: "", defaults=None)
        return made.url_map.bind("host").build("there", {"part": "a b", "more": 1})

    guard.install()
    assert [app("/x/<part>") for _ in range(2)] == ["/x/a%20b?more=1"] * 2
    assert app("/y/<part>") == "/y/a%20b?more=1"


def test_the_end_of_a_run_leaves_tasks_of_other_loops_alone() -> None:
    async def outside() -> bool:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep, 0.01)
            await anyio.lowlevel.checkpoint()
            guard.at_rest()
            with anyio.move_on_after(5) as scope:
                await anyio.sleep(0.05)
            return not scope.cancelled_caught

    assert asyncio.run(outside())
