"""A disk that is full, busy or broken, and a process that is killed: what was told is true."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.database import open_database
from runtime.errors import StoreUnavailable
from runtime.host import Disk
from runtime.transaction import Transaction
from tests.harness.notes import SCHEMA, insert, refuse, texts


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
