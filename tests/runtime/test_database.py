"""One writer, group commit: what is told is committed, and nothing else is kept."""

import sqlite3
import threading
from collections.abc import Callable

import aiosqlite
import anyio
import anyio.lowlevel
import pytest

from runtime.database import open_database
from runtime.errors import ConfigurationError, Rejection, StoreUnavailable
from runtime.host import Disk
from runtime.transaction import Transaction
from tests.harness.notes import SCHEMA, Gate, insert, refuse, texts
from tests.harness.waiting import until


async def test_an_answer_comes_after_the_commit(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        assert await database.write(insert("one")) == 1
        with sqlite3.connect(disk.root / "a.db") as other:
            assert texts(other) == ["one"]
        other.close()


async def test_waiting_works_share_one_commit_in_the_order_they_came(disk: Disk) -> None:
    async with (
        open_database(disk, "a.db", [SCHEMA]) as database,
        anyio.create_task_group() as tasks,
    ):
        gate = Gate()
        tasks.start_soon(database.write, gate)
        await until(gate.entered.is_set)
        for number in range(20):
            tasks.start_soon(database.write, insert(f"{number:02}"))
        await until(lambda: database.statistics().waiting == 21)
        gate.released.set()
        await until(lambda: database.statistics().waiting == 0)
        assert await database.read(texts) == [f"{number:02}" for number in range(20)]
        assert database.statistics().groups == 2
        assert database.statistics().group_largest == 20


async def test_behind_a_large_group_the_next_one_gathers_as_many(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It is the number that ends the wait here, however slow the machine.
    monkeypatch.setattr("runtime.groups.GATHER_S", 60.0)
    async with (
        open_database(disk, "a.db", [SCHEMA]) as database,
        anyio.create_task_group() as tasks,
    ):
        await database.write_all([insert("x") for _ in range(20)])
        for _ in range(20):
            tasks.start_soon(database.write, insert("y"))
            await anyio.lowlevel.checkpoint()  # the owner could have begun with it
        await until(lambda: database.statistics().waiting == 0)
        assert database.statistics().groups == 2


async def test_behind_a_large_group_a_single_work_and_a_batch_are_not_kept(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        await database.write_all([insert("x") for _ in range(20)])
        with anyio.fail_after(5):
            assert await database.write(insert("alone")) == 21
            assert await database.write_all([insert("batch")]) == [22]
        assert database.statistics().groups == 3


async def test_a_group_is_never_larger_than_its_limit(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA], batch_max=8) as database:
        await database.write_all([insert("x") for _ in range(100)])
        assert database.statistics().group_largest == 8
        assert len(await database.read(texts)) == 100


async def test_a_work_that_raises_fails_alone(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        one, no, two = await database.write_all([insert("one"), refuse, insert("two")])
        assert (one, two) == (1, 2)
        assert isinstance(no, Rejection)
        assert await database.read(texts) == ["one", "two"]
        with pytest.raises(Rejection):
            await database.write(refuse)
        assert database.statistics().works_failed == 2


async def test_a_group_is_run_again_only_if_a_work_changed_something_before_it_raised(
    disk: Disk,
) -> None:
    runs: list[str] = []

    def counted(name: str, work: Callable[[Transaction], int]) -> Callable[[Transaction], int]:
        def run(tx: Transaction) -> int:
            runs.append(name)
            return work(tx)

        return run

    def refuse_at_once(tx: Transaction) -> int:
        raise Rejection("no", "not this one")

    def refuse_twice_taken(tx: Transaction) -> int:
        tx.connection.execute("INSERT INTO notes (id, text) VALUES (1, 'again')")
        return 0

    async with open_database(disk, "a.db", [SCHEMA]) as database:
        one, no, taken, two = await database.write_all(
            [
                counted("one", insert("one")),
                counted("no", refuse_at_once),
                counted("taken", refuse_twice_taken),
                counted("two", insert("two")),
            ]
        )
        assert runs == ["one", "no", "taken", "two"]
        assert isinstance(no, Rejection)
        assert isinstance(taken, sqlite3.IntegrityError)
        assert (one, two) == (1, 2)
        runs.clear()
        three, no, four = await database.write_all(
            [
                counted("three", insert("three")),
                counted("no", refuse),
                counted("four", insert("four")),
            ]
        )
        assert runs == ["three", "no", "three", "no", "four"]
        assert isinstance(no, Rejection)
        assert (three, four) == (3, 4)
        assert await database.read(texts) == ["one", "two", "three", "four"]


async def test_what_a_failed_work_changed_outside_is_undone_before_the_next(disk: Disk) -> None:
    cache = ["old"]

    def stage(tx: Transaction) -> None:
        tx.on_rollback(cache.clear)
        tx.on_rollback(lambda: cache.append("undone"))
        cache.append("new")
        refuse(tx)

    async with open_database(disk, "a.db", [SCHEMA]) as database:
        _, seen = await database.write_all([stage, lambda _: list(cache)])
        assert seen == []  # the latest registered ran first, and both before the next work
        assert isinstance((await database.write_all([stage]))[0], Rejection)


async def test_notices_come_after_the_commit_once_and_only_for_what_was_kept(disk: Disk) -> None:
    notices: list[str] = []

    def kept() -> None:
        notices.append("kept")

    def work(tx: Transaction) -> None:
        tx.on_commit(kept)

    def failing(tx: Transaction) -> None:
        tx.on_commit(lambda: notices.append("failed"))
        refuse(tx)

    async with open_database(disk, "a.db", [SCHEMA]) as database:
        await database.write_all([work, failing, work])
        assert notices == ["kept"]


async def test_readers_see_committed_state_only_and_cannot_write(disk: Disk) -> None:
    async with (
        open_database(disk, "a.db", [SCHEMA]) as database,
        anyio.create_task_group() as tasks,
    ):
        gate = Gate()
        tasks.start_soon(database.write_all, [insert("staged"), gate])
        await until(gate.entered.is_set)
        assert await database.read(texts) == []
        gate.released.set()
        await until(lambda: database.statistics().waiting == 0)
        assert await database.read(texts) == ["staged"]
        with pytest.raises((sqlite3.OperationalError, StoreUnavailable)):
            await database.read(lambda connection: connection.execute("DELETE FROM notes"))


async def test_a_query_that_raises_fails_alone(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        with pytest.raises(ZeroDivisionError):
            await database.read(lambda _: 1 // 0)
        assert await database.read(texts) == []


async def test_one_process_one_opening(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]):
        with pytest.raises(ConfigurationError, match="locked"):
            async with open_database(disk, "a.db", [SCHEMA]):
                pass
    async with open_database(disk, "a.db", [SCHEMA]):
        pass


async def test_migrations_run_once_each_and_all_or_nothing(disk: Disk) -> None:
    grown = [
        SCHEMA,
        "ALTER TABLE notes ADD COLUMN colour TEXT; INSERT INTO notes VALUES (1,'a','b');",
    ]
    async with open_database(disk, "a.db", [SCHEMA]):
        pass
    for _ in range(2):
        async with open_database(disk, "a.db", grown) as database:
            assert await database.read(texts) == ["a"]
    wrong = [*grown, "INSERT INTO notes VALUES (2, 'half', NULL); INSERT INTO nowhere VALUES (1);"]
    with pytest.raises(sqlite3.OperationalError, match="nowhere"):
        async with open_database(disk, "a.db", wrong):
            pass
    async with open_database(disk, "a.db", grown) as database:
        assert await database.read(texts) == ["a"]
    with pytest.raises(ConfigurationError, match="schema version 2"):
        async with open_database(disk, "a.db", [SCHEMA]):
            pass


async def test_a_damaged_file_is_refused_with_what_to_do(disk: Disk) -> None:
    (disk.root / "a.db").write_bytes(b"this is not a database" * 500)
    with pytest.raises(ConfigurationError, match=r"a\.db is damaged") as refused:
        async with open_database(disk, "a.db", [SCHEMA]):
            pass
    assert "backup" in refused.value.hint


async def test_the_log_is_emptied_when_idle_and_at_the_end(disk: Disk) -> None:
    log = disk.root / "a.db-wal"
    async with open_database(disk, "a.db", [SCHEMA], checkpoint_idle_s=0.01) as database:
        await database.write(insert("one"))
        await until(lambda: database.statistics().checkpoints > 0)
        assert log.stat().st_size == 0
        await database.write(insert("two"))
        assert await database.checkpoint()
    assert not log.exists()


async def test_deleted_text_leaves_the_disk_with_the_checkpoint(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA], checkpoint_idle_s=60) as database:
        await database.write(insert("canary-4711"))
        await database.write(lambda tx: tx.connection.execute("DELETE FROM notes").rowcount)
        assert await database.checkpoint()
        for file in disk.root.iterdir():
            assert b"canary-4711" not in file.read_bytes(), file.name


async def test_the_settings_are_the_durable_ones(disk: Disk) -> None:
    names = "journal_mode synchronous foreign_keys trusted_schema secure_delete cell_size_check"

    def settings(tx: Transaction) -> list[object]:
        values = (tx.connection.execute(f"PRAGMA {name}").fetchone() for name in names.split())
        return [value for (value,) in values]

    async with open_database(disk, "a.db", [SCHEMA]) as database:
        assert await database.write(settings) == ["wal", 2, 1, 0, 1, 1]


async def test_the_one_private_name_of_aiosqlite_is_as_we_know_it() -> None:
    """`_execute` queues one function for the connection's thread and returns what it returned."""
    async with aiosqlite.connect(":memory:") as connection:
        ran_on = await connection._execute(lambda factor: (factor * 2, threading.get_ident()), 21)
        assert ran_on[0] == 42
        assert ran_on[1] != threading.get_ident()
