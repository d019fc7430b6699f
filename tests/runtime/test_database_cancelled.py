"""A database whose callers, or whose owner, are cancelled: nothing is half done."""

import asyncio
import random
import threading
from collections.abc import Callable
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from runtime.database import Database, open_database
from runtime.errors import Rejection, StoreBroken, StoreUnavailable
from runtime.host import Disk
from runtime.transaction import Transaction
from tests.harness.notes import SCHEMA, Gate, insert, texts
from tests.harness.waiting import until


async def test_a_cancelled_caller_cancels_nothing_but_its_waiting(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        gate = Gate()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(database.write, gate)
            tasks.start_soon(database.write, insert("cancelled caller"))
            await until(gate.entered.is_set)
            tasks.cancel_scope.cancel()
        gate.released.set()
        assert await database.write(insert("next")) == 2
        assert await database.read(texts) == ["cancelled caller", "next"]


async def test_leaving_carries_out_what_waits(disk: Disk) -> None:
    answers: list[int] = []

    async def write(database: Database) -> None:
        answers.append(await database.write(insert("x")))

    async with (
        anyio.create_task_group() as tasks,
        open_database(disk, "a.db", [SCHEMA]) as database,
    ):
        gate = Gate()
        tasks.start_soon(database.write, gate)
        for _ in range(5):
            tasks.start_soon(write, database)
        await until(gate.entered.is_set)
        gate.released.set()
    assert answers == [1, 2, 3, 4, 5]
    with pytest.raises(StoreUnavailable, match=r"a\.db is closed"):
        await database.write(insert("late"))
    with pytest.raises(StoreUnavailable, match=r"a\.db is closed"):
        await database.read(texts)


async def test_leaving_under_cancellation_still_closes_everything(disk: Disk) -> None:
    before = set(threading.enumerate())
    with anyio.CancelScope() as scope:
        async with open_database(disk, "a.db", [SCHEMA]) as database:
            await database.write(insert("one"))
            scope.cancel()
            await anyio.sleep_forever()
    await until(lambda: set(threading.enumerate()) <= before)
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        assert await database.read(texts) == ["one"]


async def test_a_group_under_way_is_finished_and_told_when_the_opener_is_cancelled(
    disk: Disk,
) -> None:
    gate, answers = Gate(), list[str]()
    opened: list[Database] = []

    async def opener(scope: anyio.CancelScope) -> None:
        with scope:
            async with open_database(disk, "a.db", [SCHEMA]) as database:
                opened.append(database)
                await anyio.sleep_forever()

    async def caller() -> None:
        answers.append(await opened[0].write(gate))

    async with anyio.create_task_group() as tasks:
        scope = anyio.CancelScope()
        tasks.start_soon(opener, scope)
        await until(lambda: opened)
        tasks.start_soon(caller)
        await until(gate.entered.is_set)
        scope.cancel()
        for _ in range(10):
            await anyio.lowlevel.checkpoint()
        assert answers == []
        gate.released.set()
    assert answers == ["gate"]


@pytest.mark.parametrize("number", [0, 1, 2], ids=["writer", "reader", "tidy"])
async def test_a_stray_cancellation_of_an_owner_is_an_error_not_a_silent_end(
    disk: Disk, number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """anyio takes it for a task that ended, cancels the others, and leaves without an exception."""
    owners: list[asyncio.Task[Any] | None] = []
    guard = Database._guard

    async def noted(database: Database, run: Any, scope: anyio.CancelScope) -> None:
        owners.append(asyncio.current_task())
        await guard(database, run, scope)

    async def use() -> None:
        async with open_database(disk, "notes.db", [SCHEMA]) as database:
            await database.write(insert("before"))
            owner = owners[number]
            assert owner is not None
            owner.cancel()
            await anyio.sleep_forever()

    monkeypatch.setattr(Database, "_guard", noted)
    with pytest.raises(StoreBroken):
        await use()
    async with open_database(disk, "notes.db", [SCHEMA]) as database:
        assert await database.read(texts) == ["before"]


async def test_an_exception_of_the_body_comes_out_as_it_is(disk: Disk) -> None:
    with pytest.raises(ZeroDivisionError):
        async with open_database(disk, "a.db", [SCHEMA]):
            raise ZeroDivisionError


@pytest.mark.parametrize("seed", range(3))
async def test_random_callers_cancelled_at_random_leave_a_consistent_store(
    disk: Disk, seed: int
) -> None:
    """What was told is there; each work is there entirely or not at all; nothing is there twice."""
    chance = random.Random(seed)
    told: list[str] = []

    def pair(text: str, fails: bool) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            insert(text)(tx)
            if fails:
                raise Rejection("no", text)
            insert(text)(tx)

        return work

    async def caller(database: Database, name: str) -> None:
        for number in range(20):
            text = f"{name}-{number}"
            with anyio.move_on_after(chance.choice([0, 0.0005, 0.002, 60])):
                try:
                    await database.write(pair(text, fails=chance.random() < 0.3))
                    told.append(text)
                except Rejection:
                    pass

    async with open_database(disk, "a.db", [SCHEMA], batch_max=7) as database:
        async with anyio.create_task_group() as tasks:
            for number in range(16):
                tasks.start_soon(caller, database, str(number))
        kept = await database.read(texts)
    counts = {text: kept.count(text) for text in kept}
    assert set(counts.values()) == {2}
    assert set(told) <= set(counts)
