"""What we ask of SQLite, and what its errors mean. All of it runs on a connection's thread."""

import sqlite3
from collections.abc import Sequence

from runtime.errors import ConfigurationError, StoreUnavailable
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
_BROKEN = (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
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


def set_up_writer(name: str, migrations: Sequence[str], connection: sqlite3.Connection) -> None:
    """Set the pragmas and run the migrations that ``user_version`` says are missing.

    Raises `ConfigurationError` where the file is damaged or from a newer program.
    """
    try:
        _set(_WRITER_PRAGMAS, connection)
        _migrate(name, migrations, connection)
    except sqlite3.Error as error:
        if not is_broken(error):
            raise
        raise ConfigurationError(
            f"{name} is damaged: {error}", hint="check the disk; restore the file from a backup"
        ) from error


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
        connection.execute(f"PRAGMA {pragma}")


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
