"""One writer, group commit: what is told is committed, and nothing else is kept."""

import asyncio
import random
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiosqlite
import anyio
import anyio.lowlevel
import pytest

from runtime.database import Database, open_database
from runtime.errors import ConfigurationError, Rejection, StoreBroken, StoreUnavailable
from runtime.host import Disk, production_host
from runtime.transaction import Transaction
from tests.harness.waiting import until

SCHEMA = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return production_host(tmp_path).disk


def insert(text: str) -> Callable[[Transaction], int]:
    def work(tx: Transaction) -> int:
        row = tx.connection.execute("INSERT INTO notes (text) VALUES (?)", (text,)).lastrowid
        assert row is not None
        return row

    return work


def refuse(tx: Transaction) -> int:
    insert("refused")(tx)
    raise Rejection("no", "not this one")


def texts(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


class Gate:
    """Keeps the database's thread inside a work, so that what comes after is one group."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, tx: Transaction) -> str:
        self.entered.set()
        assert self.released.wait(20)
        return "gate"


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


async def test_behind_a_large_group_the_next_one_gathers_as_many(disk: Disk) -> None:
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


async def test_a_full_disk_refuses_the_whole_group_and_undoes_it(disk: Disk) -> None:
    undone: list[str] = []

    def small(tx: Transaction) -> str:
        tx.on_rollback(lambda: undone.append("small"))
        insert("small")(tx)
        return "small"

    def large(tx: Transaction) -> str:
        tx.on_rollback(lambda: undone.append("large"))
        for _ in range(100):
            insert("x" * 4000)(tx)
        return "large"

    async with open_database(disk, "a.db", [SCHEMA]) as database:
        await database.write(insert("before"))
        await database.write(lambda tx: tx.connection.execute("PRAGMA max_page_count=8").fetchone())
        answers = await database.write_all([small, large])
        assert isinstance(answers[1], StoreUnavailable)
        kept = await database.read(texts)
        assert (kept, undone) == (["before"], ["large", "small"])
        await database.write(
            lambda tx: tx.connection.execute("PRAGMA max_page_count=1000").fetchone()
        )
        assert await database.write(large) == "large"


async def test_a_busy_file_refuses_the_group_and_recovers(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        await database.write(lambda tx: tx.connection.execute("PRAGMA busy_timeout=1").fetchone())
        other = sqlite3.connect(disk.root / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answers = await database.write_all([insert("one"), insert("two")])
        assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
        other.execute("ROLLBACK")
        other.close()
        assert await database.write(insert("three")) == 1


async def test_a_commit_that_fails_fails_every_answer_that_rests_on_it(disk: Disk) -> None:
    """Not even a rejection may be told: it may rest on what the group had staged."""
    undone: list[str] = []

    def stage(tx: Transaction) -> None:
        tx.on_rollback(lambda: undone.append("stage"))
        insert("staged")(tx)

    def interrupted(tx: Transaction) -> None:
        # SQLite rolls a transaction that is interrupted in mid-write back by itself.
        connection = tx.connection
        connection.set_progress_handler(lambda: 1, 1)
        try:
            connection.execute("INSERT INTO notes (text) SELECT 'x' FROM notes")
        finally:
            connection.set_progress_handler(None, 0)

    async with open_database(disk, "a.db", [SCHEMA]) as database:
        await database.write(insert("before"))
        answers = await database.write_all([stage, refuse, interrupted, insert("after")])
        assert [type(answer) for answer in answers] == [StoreUnavailable] * 4
        assert undone == ["stage", "stage"], "the group ran again because of the one that refused"
        assert await database.read(texts) == ["before"]
        assert await database.write(insert("next")) == 2


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


_KILLED = """
import sys, anyio
from pathlib import Path
from runtime.database import open_database
from runtime.host import production_host

async def main():
    disk = production_host(Path(sys.argv[1])).disk
    async with open_database(disk, "a.db", [sys.argv[2]], batch_max=16) as database:
        async def caller(name):
            for number in range(1_000_000):
                text = f"{name}-{number}"
                def work(tx):
                    for _ in range(2):
                        tx.connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))
                await database.write(work)
                print(text, flush=True)
        async with anyio.create_task_group() as tasks:
            for name in range(8):
                tasks.start_soon(caller, name)

anyio.run(main)
"""


@pytest.mark.parametrize("lines", [1, 40, 300])
def test_what_was_told_before_a_kill_is_there_after_it(tmp_path: Path, lines: int) -> None:
    arguments = [sys.executable, "-c", _KILLED, str(tmp_path), SCHEMA]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [process.stdout.readline().strip() for _ in range(lines)]
        process.kill()
        told += process.stdout.read().split("\n")[:-1]
    connection = sqlite3.connect(tmp_path / "a.db")
    kept = texts(connection)
    connection.close()
    assert all(told)
    assert set(told) <= set(kept)
    assert {kept.count(text) for text in kept} == {2}


_BROKEN = """
import resource, signal, sys, anyio
from pathlib import Path
from runtime.database import open_database
from runtime.errors import StoreBroken
from runtime.host import production_host

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

async def main():
    disk = production_host(Path(sys.argv[1])).disk
    try:
        async with open_database(disk, "a.db", [sys.argv[2]]) as database:
            def insert(tx):
                tx.connection.execute("INSERT INTO notes (text) VALUES (?)", ("x" * 1000,))
            await database.write(insert)
            resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, resource.RLIM_INFINITY))
            while True:
                try:
                    await database.write_all([insert, insert])
                except StoreBroken:
                    print("told broken", flush=True)
                    try:
                        await database.read(lambda connection: 1)
                    except StoreBroken:
                        print("refused", flush=True)
                    await anyio.sleep_forever()
                print("kept", flush=True)
    except StoreBroken as broken:
        print("came out", broken, flush=True)
        raise SystemExit(74)

anyio.run(main)
"""


def test_an_io_error_breaks_the_store_and_ends_the_program(tmp_path: Path) -> None:
    """A file size limit gives a true EFBIG at write, which SQLite reports as SQLITE_IOERR."""
    arguments = [sys.executable, "-c", _BROKEN, str(tmp_path), SCHEMA]
    ended = subprocess.run(arguments, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 74, ended.stderr
    *kept, told, refused, out = ended.stdout.splitlines()
    assert set(kept) == {"kept"}
    assert (told, refused) == ("told broken", "refused")
    unknown = f"{tmp_path / 'a.db'}: the outcome of what was under way is unknown: disk I/O error"
    assert out == f"came out {unknown}"
    connection = sqlite3.connect(tmp_path / "a.db")
    assert len(texts(connection)) >= 1 + 2 * len(kept)
    connection.close()
