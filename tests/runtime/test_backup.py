"""A copy is whole and checked, or it is not there."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from runtime.backup import back_up
from runtime.errors import ConfigurationError, EnvironmentUnready
from tests.harness.faulty_disk import small_disk


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "a.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL").fetchall()
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,)] * 200)
    return path


def test_a_copy_is_one_file_with_everything(source: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(source, isolation_level=None)) as writer:
        writer.execute("INSERT INTO t VALUES ('in the log')")
        back_up(source, tmp_path / "copy.db")
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db"]
    with closing(sqlite3.connect(tmp_path / "copy.db")) as copy:
        assert copy.execute("SELECT count(*) FROM t").fetchone() == (201,)
    with pytest.raises(ConfigurationError, match="exists already"):
        back_up(source, tmp_path / "copy.db")
    assert (tmp_path / "copy.db").exists()


def test_a_copy_for_which_there_is_no_room_is_not_there(source: Path, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "64k") as disk:
        with pytest.raises(EnvironmentUnready, match="is full") as refused:
            back_up(source, disk / "copy.db")
        assert "make room" in refused.value.hint
        assert list(disk.iterdir()) == []


def test_a_copy_of_a_damaged_file_is_not_there(source: Path, tmp_path: Path) -> None:
    with source.open("r+b") as pages:
        pages.seek(4096)
        pages.write(b"\xa5" * 8192)
    with pytest.raises(ConfigurationError):
        back_up(source, tmp_path / "copy.db")
    assert not (tmp_path / "copy.db").exists()
