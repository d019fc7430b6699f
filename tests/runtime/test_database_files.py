"""What an opening finds wrong with the file, who is told how, and what a full disk looks like."""

import os
import shutil
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from runtime.database import open_database
from runtime.errors import EnvironmentUnready, StoreBroken, StoreUnavailable
from runtime.host import Disk, production_host
from runtime.sqlite import set_up_writer, unopened
from runtime.transaction import Transaction
from runtime.wal import damage_at_rest
from tests.harness.waiting import until

SCHEMA = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"
PAGE = 4096


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    return production_host(tmp_path / "data").disk


def insert(text: str) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        tx.connection.execute("INSERT INTO notes (text) VALUES (?)", (text,))

    return work


async def filled(disk: Disk) -> Path:
    """Make a database with some pages; nobody has it open."""
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        await database.write_all([insert("x" * 1000) for _ in range(40)])
    return disk.root / "a.db"


async def opened(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA]):
        pass


async def refused(disk: Disk) -> EnvironmentUnready:
    """Open it, which must fail and leave neither a lock nor a thread behind."""
    before = set(threading.enumerate())
    with pytest.raises(EnvironmentUnready) as raised:
        await opened(disk)
    await until(lambda: set(threading.enumerate()) <= before)
    disk.lock("a.db").release()
    return raised.value


@pytest.mark.parametrize("page", [1, 2, 5])
async def test_a_damaged_page_is_found_before_anybody_rests_on_it(disk: Disk, page: int) -> None:
    path = await filled(disk)
    data = bytearray(path.read_bytes())
    data[(page - 1) * PAGE : page * PAGE] = b"\xa5" * PAGE
    path.write_bytes(data)
    refusal = await refused(disk)
    assert str(refusal).startswith(f"{path} is damaged: ")
    assert "\n" not in str(refusal)
    assert "restore the newest backup" in refusal.hint
    assert path.read_bytes() == data


async def test_a_log_that_lost_commits_is_refused_and_kept_as_it_is(disk: Disk) -> None:
    path = disk.root / "a.db"
    async with open_database(disk, "a.db", [SCHEMA]) as database:
        for number in range(5):
            await database.write(insert(f"note {number}"))
        copy = production_host(disk.root / "copy").disk
        for suffix in ("", "-wal", "-shm"):
            shutil.copy(f"{path}{suffix}", copy.root / f"a.db{suffix}")
    log = copy.root / "a.db-wal"
    data = bytearray(log.read_bytes())
    data[len(data) // 2] ^= 1
    log.write_bytes(data)
    assert "commits cannot be read" in damage_at_rest(copy.root / "a.db")
    for _ in range(2):
        refusal = await refused(copy)
        assert str(refusal).startswith(f"{log} is damaged: at least ")
        assert "store backup" in refusal.hint
        assert log.read_bytes() == data, "to open it would have been to forget them"


async def test_the_log_of_a_running_system_is_its_owners_business(disk: Disk) -> None:
    async with open_database(disk, "a.db", [SCHEMA], checkpoint_idle_s=60) as database:
        await database.write_all([insert("one")])
        log = disk.root / "a.db-wal"
        log.write_bytes(log.read_bytes()[:100] + b"?" + log.read_bytes()[101:])
        assert damage_at_rest(disk.root / "a.db") == ""
    assert damage_at_rest(disk.root / "a.db") == ""


async def test_files_are_for_their_owner_alone(disk: Disk) -> None:
    mask = os.umask(0)
    try:
        async with open_database(disk, "a.db", [SCHEMA]) as database:
            await database.write(insert("one"))
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in disk.root.iterdir()}
    finally:
        os.umask(mask)
    assert modes == dict.fromkeys(("a.db", "a.db-wal", "a.db-shm", "a.db.lock"), 0o600)


async def test_a_file_that_cannot_be_opened_says_so(disk: Disk) -> None:
    (disk.root / "a.db").mkdir()
    refusal = await refused(disk)
    assert str(refusal) == f"{disk.root / 'a.db'} cannot be opened: Is a directory"


def _error(code: int) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("as SQLite says")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    ("code", "kind", "text", "hint"),
    [
        (sqlite3.SQLITE_CORRUPT, EnvironmentUnready, "is damaged", "backup"),
        (sqlite3.SQLITE_NOTADB, EnvironmentUnready, "is damaged", "backup"),
        (sqlite3.SQLITE_IOERR_FSYNC, StoreBroken, "cannot be opened", "check the disk"),
        (sqlite3.SQLITE_FULL, EnvironmentUnready, "cannot be opened", "make room"),
        (sqlite3.SQLITE_BUSY, EnvironmentUnready, "cannot be opened", "another process"),
        (sqlite3.SQLITE_CANTOPEN, EnvironmentUnready, "cannot be opened", "by this user"),
    ],
)
def test_what_cannot_be_opened_is_told_by_what_can_be_done(
    code: int, kind: type[BaseException], text: str, hint: str
) -> None:
    told = unopened(Path("data/a.db"), _error(code))
    assert isinstance(told, kind)
    assert str(told) == f"data/a.db {text}: as SQLite says"
    assert hint in getattr(told, "hint", "")
    assert unopened(Path("a.db"), _error(sqlite3.SQLITE_ERROR)) is None


async def test_a_database_says_for_a_while_that_it_could_not_commit(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def limited(pages: int) -> Callable[[Transaction], object]:
        return lambda tx: tx.connection.execute(f"PRAGMA max_page_count={pages}").fetchone()

    async with open_database(disk, "a.db", [SCHEMA]) as database:
        assert database.check() == "ok"
        await database.write(limited(4))
        with pytest.raises(StoreUnavailable):
            await database.write(insert("x" * 20_000))
        await database.write(lambda _: "nothing to commit, so no proof")
        assert database.check() == "cannot commit: database or disk is full"
        monkeypatch.setattr("runtime.database.REFUSED_S", 0.0)
        assert database.check() == "ok", "else nobody would ever try again"


def test_where_sqlite_cannot_write_ahead_nothing_is_opened(tmp_path: Path) -> None:
    """It says so in the answer of a PRAGMA, and goes on in another mode."""
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(f"file:{path}?vfs=unix-dotfile", uri=True)) as connection:
        with pytest.raises(EnvironmentUnready, match="it stays in the mode delete") as refused:
            set_up_writer(path, [SCHEMA], connection)
        assert "local" in refused.value.hint
