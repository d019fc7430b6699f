"""Traps of aiosqlite and of SQLite, each as it is in the version that we use.

Every test here shows what happens to who does it the ordinary way; `runtime.database` and what is
below it never do. One that fails after an upgrade is good news: our defence may be too much.
"""

import asyncio
import logging
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing, suppress
from pathlib import Path

import aiosqlite
import pytest

from tests.harness.faulty_disk import Fault, need_strace, suffering
from tests.harness.waiting import until


class Slow:
    """Keeps the connection's thread busy until it is released."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._released = threading.Event()
        self.task = asyncio.ensure_future(connection._execute(self._released.wait, 20))

    def release(self) -> None:
        self._released.set()


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as reader:
        return int(reader.execute("SELECT count(*) FROM t").fetchone()[0])


async def test_a_commit_that_was_cancelled_commits_all_the_same(tmp_path: Path) -> None:
    async with aiosqlite.connect(tmp_path / "a.db") as connection:
        await connection.execute("CREATE TABLE t (x)")
        await connection.execute("INSERT INTO t VALUES (1)")
        slow = Slow(connection)
        committing = asyncio.ensure_future(connection.commit())
        await asyncio.sleep(0)
        committing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await committing
        assert rows(tmp_path / "a.db") == 0
        slow.release()
        await until(lambda: rows(tmp_path / "a.db") == 1)
        await slow.task


async def test_half_of_a_cancelled_transaction_is_committed_by_whoever_comes_next(
    tmp_path: Path,
) -> None:
    async with aiosqlite.connect(tmp_path / "a.db") as connection:
        await connection.execute("CREATE TABLE t (x)")

        async def cut_off() -> None:
            await connection.execute("INSERT INTO t VALUES ('half')")
            await asyncio.sleep(60)
            await connection.execute("INSERT INTO t VALUES ('the rest')")

        task = asyncio.ensure_future(cut_off())
        await until(lambda: connection.in_transaction)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        await connection.execute("INSERT INTO t VALUES ('of another')")
        await connection.commit()
        assert rows(tmp_path / "a.db") == 2


def test_a_connection_that_is_forgotten_keeps_the_process_from_ending() -> None:
    program = (
        "import asyncio, aiosqlite\n"
        "async def main():\n"
        "    globals()['kept'] = await aiosqlite.connect(':memory:')\n"
        "asyncio.run(main())\n"
        "print('done', flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"done\n"
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(1.0)
        process.kill()


async def test_the_way_transactions_begin_can_only_be_set_when_connecting() -> None:
    async with aiosqlite.connect(":memory:") as connection:
        with pytest.raises(sqlite3.ProgrammingError, match="same thread"):
            connection.isolation_level = None


async def test_debug_logs_tell_the_parameters_of_statements(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with aiosqlite.connect(":memory:") as connection:
        await connection.execute("SELECT ?", ("ada@example.org",))
        assert "ada@example.org" not in caplog.text, "it is pinned"
        with caplog.at_level(logging.DEBUG, logger="aiosqlite"):
            await connection.execute("SELECT ?", ("ada@example.org",))
        assert "ada@example.org" in caplog.text


def test_what_fails_after_the_first_row_is_lost_with_an_unread_cursor() -> None:
    """As the I/O error was, with which a PRAGMA could not commit a change of the journal mode."""
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("CREATE TABLE parents (id INTEGER PRIMARY KEY)")
        connection.execute(
            "CREATE TABLE t (parent REFERENCES parents DEFERRABLE INITIALLY DEFERRED)"
        )
        orphan = "INSERT INTO t VALUES (1) RETURNING parent"
        connection.execute(orphan)
        assert connection.execute("SELECT count(*) FROM t").fetchone() == (0,)
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(orphan).fetchall()


def test_a_full_disk_ends_the_whole_transaction_not_the_statement(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.db", isolation_level=None)) as connection:
        for statement in ("CREATE TABLE t (x)", "PRAGMA max_page_count=3", "BEGIN"):
            connection.execute(statement).fetchall()
        connection.execute("INSERT INTO t VALUES ('small')")
        connection.execute("SAVEPOINT work")
        with pytest.raises(sqlite3.OperationalError, match="full"):
            connection.execute("INSERT INTO t VALUES (?)", ("x" * 50_000,))
        assert not connection.in_transaction


UNSYNCED = """
import os, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
for statement in ("PRAGMA journal_mode=WAL", "PRAGMA synchronous=FULL", "CREATE TABLE t (x)"):
    connection.execute(statement).fetchall()
try:
    connection.execute("INSERT INTO t VALUES (1)")
except sqlite3.OperationalError as error:
    count = connection.execute("SELECT count(*) FROM t").fetchone()
    print(error.sqlite_errorname, count, flush=True)
os._exit(0)
"""


def test_a_commit_that_could_not_be_synced_is_there_after_all(tmp_path: Path) -> None:
    """Gone for the process that got the error, there for the one that opens the file next."""
    need_strace()
    path = tmp_path / "a.db"
    # The first syncs are those of the log's header and of the table.
    third = Fault("fdatasync", "error=EIO", "3", path.with_name("a.db-wal"))
    command = suffering(third, tmp_path / "strace.log", [sys.executable, "-c", UNSYNCED, str(path)])
    told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout == "SQLITE_IOERR_FSYNC (0,)\n"
    assert rows(path) == 1
