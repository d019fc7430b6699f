"""A damaged write-ahead log is noticed before SQLite forgets the commits in it, a sound one never.

SQLite itself is the oracle: how many commits it finds after recovery.
"""

import random
import shutil
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from runtime.wal import commits_left_out

COMMITS = 12


class Source:
    """A database whose writer has just died: everything is in the log, nothing in the file."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / "a.db"
        self.writer = sqlite3.connect(self.path, isolation_level=None)
        self.run("PRAGMA journal_mode=WAL", "PRAGMA synchronous=OFF", "CREATE TABLE t (x TEXT)")
        self.run("PRAGMA wal_checkpoint(TRUNCATE)")
        self.commits = 0

    def run(self, *statements: str) -> None:
        for statement in statements:
            self.writer.execute(statement)

    def commit(self, *sizes: int) -> None:
        self.commits += 1
        self.run("BEGIN")
        for size in sizes:
            self.writer.execute("INSERT INTO t VALUES (?)", ("x" * size,))
        self.run("INSERT INTO t VALUES ('end')", "COMMIT")

    def copy(self, folder: Path, *, with_index: bool) -> Path:
        """Copy what a dead process leaves; the index only if the machine has stayed up."""
        folder.mkdir(exist_ok=True)
        for suffix in ("", "-wal", *["-shm"] * with_index):
            shutil.copy(f"{self.path}{suffix}", folder / f"a.db{suffix}")
        if not with_index:
            (folder / "a.db-shm").unlink(missing_ok=True)
        return folder / "a.db"


@pytest.fixture
def source(tmp_path: Path) -> Iterator[Source]:
    source = Source(tmp_path)
    chance = random.Random(7)
    for _ in range(COMMITS):
        source.commit(*(chance.randint(10, 2000) for _ in range(chance.randint(1, 4))))
    yield source
    source.writer.close()


def found(path: Path) -> int:
    """Return how many commits SQLite finds, and let it recover the file."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            connection.execute("PRAGMA synchronous=OFF")
            return int(connection.execute("SELECT count(*) FROM t WHERE x = 'end'").fetchone()[0])
        except sqlite3.DatabaseError:
            return 0


@pytest.mark.parametrize("with_index", [True, False])
def test_every_damaged_byte_that_costs_a_commit_is_noticed(
    source: Source, tmp_path: Path, with_index: bool
) -> None:
    chance = random.Random(11)
    size = (tmp_path / "a.db-wal").stat().st_size
    noticed = 0
    for at in [*range(32), *(chance.randrange(size) for _ in range(100))]:
        path = source.copy(tmp_path / "copy", with_index=with_index)
        log = path.with_name("a.db-wal")
        data = bytearray(log.read_bytes())
        data[at] ^= 1 << chance.randrange(8)
        log.write_bytes(data)
        left_out = commits_left_out(path)
        lost = COMMITS - found(path)
        assert left_out <= lost, f"byte {at}: a false alarm"
        # Without the index the last commit may have been cut off by a power cut, unsynced.
        assert left_out or lost <= (0 if with_index else 2), f"byte {at}: {lost} commits lost"
        noticed += bool(left_out)
    assert noticed > 60


@pytest.mark.parametrize("with_index", [True, False])
def test_a_sound_log_is_sound_after_each_commit(
    source: Source, tmp_path: Path, with_index: bool
) -> None:
    for number in range(20):
        source.commit(100 * number)
        path = source.copy(tmp_path / "copy", with_index=with_index)
        assert commits_left_out(path) == 0
        assert found(path) == source.commits


def test_a_log_cut_short_is_noticed_while_the_index_is_there(
    source: Source, tmp_path: Path
) -> None:
    path = source.copy(tmp_path / "copy", with_index=True)
    log = path.with_name("a.db-wal")
    log.write_bytes(log.read_bytes()[:-5000])
    assert commits_left_out(path) == 1
    path.with_name("a.db-shm").unlink()
    assert commits_left_out(path) == 0, "a power cut leaves the same"


def test_a_commit_that_a_power_cut_has_torn_is_no_damage(source: Source, tmp_path: Path) -> None:
    """Its last frame is there and an earlier one is not: it was never synced."""
    before = (tmp_path / "a.db-wal").stat().st_size
    source.commit(3000, 3000, 3000, 3000)
    path = source.copy(tmp_path / "copy", with_index=False)
    log = path.with_name("a.db-wal")
    data = bytearray(log.read_bytes())
    data[before + 24 : before + 24 + 4096] = bytes(4096)
    log.write_bytes(data)
    assert commits_left_out(path) == 0
    assert found(path) == COMMITS


@pytest.mark.parametrize("with_index", [True, False])
def test_what_was_rolled_back_and_what_is_left_of_an_earlier_log_are_no_commits(
    source: Source, tmp_path: Path, with_index: bool
) -> None:
    # A cache too small spills a transaction's pages into the log before it is rolled back.
    source.run("PRAGMA cache_size=5", "BEGIN")
    for _ in range(200):
        source.run(f"INSERT INTO t VALUES ('{'y' * 2000}')")
    source.run("ROLLBACK")
    source.commit(10)
    path = source.copy(tmp_path / "copy", with_index=with_index)
    assert commits_left_out(path) == 0
    assert found(path) == source.commits
    # Written from its beginning again, the log still holds frames of before.
    source.run("PRAGMA wal_checkpoint(RESTART)")
    source.commit(10)
    path = source.copy(tmp_path / "copy", with_index=with_index)
    assert commits_left_out(path) == 0
    assert found(path) == source.commits


def test_where_there_is_no_log_nothing_is_wrong(source: Source, tmp_path: Path) -> None:
    source.run("PRAGMA wal_checkpoint(TRUNCATE)")
    assert commits_left_out(source.path) == 0
    assert commits_left_out(tmp_path / "missing.db") == 0


def test_a_log_of_a_machine_with_the_other_byte_order_is_read_as_sqlite_reads_it(
    source: Source, tmp_path: Path
) -> None:
    path = source.copy(tmp_path / "copy", with_index=False)
    log = path.with_name("a.db-wal")
    log.write_bytes(_turned(log.read_bytes()))
    assert commits_left_out(path) == 0
    spoilt = bytearray(log.read_bytes())
    spoilt[len(spoilt) // 2] ^= 1
    log.write_bytes(spoilt)
    assert commits_left_out(path) > 0
    assert 0 < found(path) < COMMITS

    log.write_bytes(_turned(source.path.with_name("a.db-wal").read_bytes()))
    (path.with_name("a.db-shm")).unlink(missing_ok=True)
    shutil.copy(source.path, path)
    assert found(path) == COMMITS


def _turned(log: bytes) -> bytes:
    """Return a log with the checksums of a machine whose words begin with the other end."""
    (magic, page_size) = struct.unpack_from(">I4xI", log)
    made = bytearray(log)
    order = "<" if magic & 1 else ">"
    struct.pack_into(">I", made, 0, magic ^ 1)
    sums = _summed((0, 0), bytes(made[:24]), order)
    struct.pack_into(">2I", made, 24, *sums)
    for at in range(32, len(log) - page_size - 23, page_size + 24):
        sums = _summed(sums, log[at : at + 8] + log[at + 24 : at + 24 + page_size], order)
        struct.pack_into(">2I", made, at + 16, *sums)
    return bytes(made)


def _summed(before: tuple[int, int], data: bytes, order: str) -> tuple[int, int]:
    """Return the checksum as sqlite.org/walformat.html defines it."""
    one, two = before
    words = struct.unpack(f"{order}{len(data) // 4}I", data)
    for at in range(0, len(words), 2):
        one = (one + words[at] + two) % 2**32
        two = (two + words[at + 1] + one) % 2**32
    return one, two
