"""What we ask of SQLite, and what its errors mean. All of it runs on a connection's thread."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from runtime.errors import (
    ConfigurationError,
    EnvironmentUnready,
    StoreBroken,
    StoreUnavailable,
)
from runtime.groups import Group

_WRITER_PRAGMAS = (
    "busy_timeout=5000",
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "recursive_triggers=ON",  # or INSERT OR REPLACE would slip past a trigger on DELETE
    "trusted_schema=OFF",
    "secure_delete=ON",
    "cell_size_check=ON",
    "mmap_size=0",
)
_READER_PRAGMAS = (
    "busy_timeout=5000",
    "query_only=ON",
    "trusted_schema=OFF",
    "cell_size_check=ON",
    "mmap_size=0",
)

# sqlite.org/rescode.html. After the first kind nobody knows what is on the disk; after the second
# it is certain that nothing of the transaction is.
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BROKEN = (sqlite3.SQLITE_IOERR, *_DAMAGED)
_TRANSIENT = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PROTOCOL,
)
_RESTORE = "check the disk; restore the newest backup (ordermill store backup makes them)"
_HINTS = {
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_BUSY: "another process is writing to it: stop that",
    0: "the folder and the file must be there to be written by this user",
}


def is_sqlite(error: BaseException) -> bool:
    """Whether SQLite itself reported this error (Python's own misuse errors carry no code)."""
    return _code(error) != 0


def is_broken(error: BaseException) -> bool:
    """Whether the state on disk is unknown: an I/O error, or a damaged file."""
    return _code(error) in _BROKEN


def is_transient(error: BaseException) -> bool:
    """Whether it certainly had no effect and may pass: disk full, busy, out of memory."""
    return _code(error) in _TRANSIENT


def as_failure(name: str, error: Exception) -> Exception:
    """Return what the caller of a failed work or query gets to see."""
    return StoreUnavailable(f"{name}: {error}") if is_transient(error) else error


def _code(error: BaseException) -> int:
    code = getattr(error, "sqlite_errorcode", 0) if isinstance(error, sqlite3.Error) else 0
    return int(code) & 0xFF  # the primary result code; the rest is detail


def broken_by(path: Path, error: BaseException) -> StoreBroken:
    """Return what ends the process: which file, what SQLite said, and what can be done."""
    if _code(error) in _DAMAGED:
        return StoreBroken(f"{path} is damaged: {error}", hint=_RESTORE)
    return StoreBroken(
        f"{path}: the outcome of what was under way is unknown: "
        f"{str(error) or type(error).__name__}",
        hint="check the disk, then start again: what was committed is found by its key",
    )


def unopened(path: Path, error: BaseException) -> BaseException | None:
    """Return what to raise for an error that came of opening ``path``; None for the error itself.

    Nothing has been promised yet: only after an I/O error it is worth to just try again.
    """
    code = _code(error)
    if code in _DAMAGED:
        return EnvironmentUnready(f"{path} is damaged: {error}", hint=_RESTORE)
    if code == sqlite3.SQLITE_IOERR:
        return StoreBroken(f"{path} cannot be opened: {error}", hint="check the disk")
    if code in _TRANSIENT or isinstance(error, OSError):
        text = error.strerror if isinstance(error, OSError) else error
        return EnvironmentUnready(
            f"{path} cannot be opened: {text}", hint=_HINTS.get(code, _HINTS[0])
        )
    return None


def set_up_writer(path: Path, migrations: Sequence[str], connection: sqlite3.Connection) -> None:
    """Set the pragmas, look at every page, and run the migrations that ``user_version`` misses.

    Raises `ConfigurationError` where the file is damaged or from a newer program.
    """
    _set(_WRITER_PRAGMAS, connection)
    (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    if mode != "wal":
        # SQLite says so in its answer only. Without the log, readers and the writer would lock each
        # other out.
        raise EnvironmentUnready(
            f"{path}: SQLite cannot write ahead here, it stays in the mode {mode}",
            hint="check the disk; the data folder must be on a local one that can be written to",
        )
    # A third of a second for 600,000 events. It finds what is wrong with the file's structure
    # before anybody rests on it; a byte that has changed inside of a value it cannot find.
    (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        what = verdict.splitlines()[-1]  # the line before says "in database main"
        raise EnvironmentUnready(f"{path} is damaged: {what}", hint=_RESTORE)
    _migrate(path.name, migrations, connection)


def _migrate(name: str, migrations: Sequence[str], connection: sqlite3.Connection) -> None:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise ConfigurationError(
            f"{name} has schema version {version}, but this program knows only {len(migrations)}",
            hint="start the newer program that wrote it, or restore an older backup",
        )
    for number, script in enumerate(migrations[version:], version + 1):
        # One transaction each, version included: a crash leaves the step done or not begun.
        connection.executescript(
            f"BEGIN IMMEDIATE;\n{script}\n;PRAGMA user_version={number};\nCOMMIT;"
        )


def set_up_reader(connection: sqlite3.Connection) -> None:
    """Set the pragmas of a read-only connection."""
    _set(_READER_PRAGMAS, connection)


def _set(pragmas: Sequence[str], connection: sqlite3.Connection) -> None:
    for pragma in pragmas:
        # To its end: what fails after the first row (a commit, when the journal mode changes)
        # would be lost with a cursor that nobody reads.
        connection.execute(f"PRAGMA {pragma}").fetchall()


def truncate_log(connection: sqlite3.Connection) -> bool:
    """Move the write-ahead log into the file and empty it; False where a reader prevented it."""
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def answer(name: str, group: Group[sqlite3.Connection], connection: sqlite3.Connection) -> None:
    """Run a group of queries in one read transaction; each fails alone."""
    connection.execute("BEGIN")
    try:
        for slot in group.slots:
            try:
                slot.answer = slot.work(connection)
            except Exception as error:
                if is_broken(error):
                    raise
                slot.failure = as_failure(name, error)
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
