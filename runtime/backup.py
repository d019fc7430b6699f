"""Copies of database files, made while their owner runs or is stopped, and looked at afterwards.

The law: the source is only ever opened to be read, so the owning process stays the only one that
writes or checkpoints it. A copy is one consistent state, in one file, and counts only once SQLite
has checked all of it.
"""

import os
import sqlite3
from pathlib import Path

import msgspec

from runtime.errors import ConfigurationError, EnvironmentUnready
from runtime.sqlite import set_up_reader


class FileFacts(msgspec.Struct, frozen=True):
    """One database: bytes of the file and of its write-ahead log, schema version, rows by table."""

    file: str
    size: int
    log_size: int
    schema_version: int
    rows: dict[str, int]


def look_at(path: Path) -> FileFacts:
    """Return what a database holds."""
    connection = _open(path)
    try:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        names = connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            " ORDER BY name"
        ).fetchall()
        rows = {name: _count(connection, name) for (name,) in names}
    finally:
        connection.close()
    log = path.with_name(f"{path.name}-wal")
    log_size = log.stat().st_size if log.exists() else 0
    return FileFacts(path.name, path.stat().st_size, log_size, version, rows)


def back_up(source: Path, target: Path) -> None:
    """Copy the database; a copy that was not finished or is damaged is removed again.

    `ConfigurationError` where the target exists, cannot be written, or would be damaged.
    """
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError as error:
        raise ConfigurationError(
            f"{target} exists already", hint="name a folder that is not there yet"
        ) from error
    try:
        _copy(source, target)
    except BaseException as error:
        target.unlink(missing_ok=True)
        if not isinstance(error, sqlite3.Error | OSError):
            raise
        raise EnvironmentUnready(
            f"{source} cannot be copied to {target}: {error}",
            hint="make room on the disk of the copy; check the disk of the source",
        ) from error


def _copy(source: Path, target: Path) -> None:
    reader = _open(source)
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        reader.backup(copy)
        # One file, without a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE").fetchall()
        (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    finally:
        copy.close()
        reader.close()
    if verdict != "ok":
        raise ConfigurationError(
            f"the copy of {source} is damaged: {verdict}", hint="check the disk of the source"
        )
    _sync(target)
    _sync(target.parent)


def _open(path: Path) -> sqlite3.Connection:
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    set_up_reader(connection)
    return connection


def _count(connection: sqlite3.Connection, table: str) -> int:
    (count,) = connection.execute(f'SELECT count(*) FROM "{table}"').fetchone()  # noqa: S608
    return int(count)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
