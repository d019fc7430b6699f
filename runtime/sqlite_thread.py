"""A connection to a SQLite file and the thread that owns it: the one place that knows aiosqlite."""

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar, cast

import aiosqlite

from runtime.errors import EnvironmentUnready
from runtime.wal import commits_left_out, lost_commits

T = TypeVar("T")


class SqliteThread:
    """``mode`` ``rwc`` opens to write, and makes the file where it is missing; ``ro`` reads."""

    def __init__(self, path: Path, mode: Literal["rwc", "ro"]) -> None:
        self._path = path
        self._mode = mode
        self._aiosqlite = aiosqlite.Connection(self._connect, iter_chunk_size=64)
        self._connection: sqlite3.Connection | None = None
        self._failure: Exception | None = None
        self._alive = False

    def _connect(self) -> sqlite3.Connection:
        """Connect; a failure is raised by `open`.

        aiosqlite does not wait for the thread of a connection that it never had: that one would
        outlive the event loop, and complain. So it gets another one, to close.
        """
        try:
            self._connection = self._connected()
        except Exception as failure:
            self._failure = failure
            return sqlite3.connect(":memory:")
        return self._connection

    def _connected(self) -> sqlite3.Connection:
        if self._mode == "rwc":
            _make_private(self._path)
            _refuse_a_damaged_log(self._path)
        uri = f"{self._path.absolute().as_uri()}?mode={self._mode}"
        return sqlite3.connect(uri, uri=True, isolation_level=None)

    async def open(self) -> None:
        """Start the thread and connect.

        Raises what SQLite or the file system say, and `EnvironmentUnready` where the write-ahead
        log is damaged.
        """
        self._alive = True
        await self._aiosqlite
        if self._failure is not None:
            await self.close()
            raise self._failure

    async def close(self) -> None:
        """Close the connection and end the thread."""
        await self._aiosqlite.close()
        self._alive = False

    def end(self) -> None:
        """Have the thread close its connection and end once it has done what it was given.

        After `close` there is nothing to do. It is for the ways out on which nothing can be awaited
        any more: the thread is no daemon, so a forgotten one keeps the process from ever ending.
        """
        if self._alive:
            self._alive = False
            self._aiosqlite.stop()

    async def visit(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run ``function`` on the thread; it runs to its end even if the caller is cancelled.

        ``_execute`` is the one private name of aiosqlite that we lean on. Without it a transaction
        would be several queued statements, which a cancellation leaves half done.
        """
        execute = self._aiosqlite._execute  # noqa: SLF001
        assert self._connection is not None, "opened before it is used"
        return cast("T", await execute(function, self._connection))  # type: ignore[no-untyped-call]  # aiosqlite leaves it bare


def _make_private(path: Path) -> None:
    """Make the file, for its owner alone: SQLite gives the log and its index the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _refuse_a_damaged_log(path: Path) -> None:
    """Refuse before SQLite opens the file: it would forget the commits, and delete the log."""
    lost = commits_left_out(path)
    if lost:
        raise EnvironmentUnready(
            lost_commits(path, lost),
            hint="check the disk; restore the newest backup, or go on with what can be read: "
            "ordermill store backup DIR makes a copy of it",
        )
