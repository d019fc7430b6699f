"""SQLite under simulation: the real library on real files, without aiosqlite's thread.

aiosqlite gives each connection a thread and a queue. Here `InlineQueue` stands in for that queue:
an operation executes at one instant of virtual time and its answer arrives at a later one, so that
a crash can fall between the two ("committed, but nobody was told").

Each statement passes `SimConnection`. Armed (see `Arms`), the k-th statement from now fails before
or after it has been applied, or is where the power goes: the disk's image is taken at that very
statement, and the incarnation dies before its code could notice. What the function still does is
done to files that nobody will open again.
"""

import asyncio
import sqlite3
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol

import msgspec

from sim.bystander import Watch
from sim.incarnation import CURRENT, Incarnation
from sim.loop import VirtualLoop

Moment = Literal["before", "after"]
Call = Callable[[], Any]


class Drive(Protocol):
    """What a connection needs of the disk that its file is on."""

    def delays(self) -> tuple[float, float]:
        """Return the seconds until an operation executes, and from then to its answer."""
        ...

    def statement(self, sql: str, moment: Moment, connection: "SimConnection") -> None:
        """A statement is about to be applied, or has been; may raise what SQLite would."""
        ...

    @property
    def arms(self) -> Sequence[object]:
        """What is to happen at statements. While there is nothing, they need not be shown."""
        ...

    gone: bool
    """Whether what is written now reaches nobody: the power has been cut."""

    def executed(self) -> bool:
        """An operation has executed. False if the power has gone meanwhile."""
        ...

    def opened(self, connection: "SimConnection") -> None:
        """A connection to one of its files is there."""
        ...

    def raised(self, error: sqlite3.Error) -> None:
        """SQLite has raised an error by itself."""
        ...

    def note(self, *facts: str | int) -> None:
        """Put a line into the trace."""
        ...

    def watch(self, database: str) -> Watch | None:
        """Return who watches a new connection to this file, if anybody does."""
        ...


class Failure(msgspec.Struct, frozen=True):
    """An error of SQLite: its primary code's name, such as SQLITE_FULL or SQLITE_IOERR."""

    name: str

    def error(self) -> sqlite3.OperationalError:
        """Make the exception that the sqlite3 module would raise."""
        made = sqlite3.OperationalError(_TEXTS.get(self.name, self.name))
        made.sqlite_errorcode = getattr(sqlite3, self.name)
        made.sqlite_errorname = self.name
        return made


_TEXTS = {
    "SQLITE_FULL": "database or disk is full",
    "SQLITE_IOERR": "disk I/O error",
    "SQLITE_IOERR_FSYNC": "disk I/O error",
    "SQLITE_BUSY": "database is locked",
}

_PAGES_MAX = 4294967294
_execute = sqlite3.Connection.execute

DRIVES: dict[Incarnation, Drive] = {}
"""Whose disk is which; `sim.disk` fills it."""


class SimConnection(sqlite3.Connection):
    """A real connection that shows each statement to its drive first."""

    drive: Drive | None = None
    watch: Watch | None = None
    wal = ""

    def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
        """Execute one statement."""
        drive = self.drive
        if drive is None:
            return _execute(self, sql, parameters)
        if drive.arms:
            drive.statement(sql, "before", self)
        try:
            cursor = _execute(self, sql, parameters)
        except sqlite3.Error as error:
            drive.raised(error)
            raise
        watch = self.watch
        if watch is not None and not watch.wants(sql):
            watch = None
        if watch is not None or drive.arms:
            self._applied(drive, watch, sql, (parameters,), cursor)
        return cursor

    def executemany(self, sql: str, parameters: Iterable[Any], /) -> sqlite3.Cursor:
        """Execute one statement for many rows."""
        drive = self.drive
        if drive is None:
            return super().executemany(sql, parameters)
        if drive.arms:
            drive.statement(sql, "before", self)
        rows = list(parameters)
        try:
            cursor = super().executemany(sql, rows)
        except sqlite3.Error as error:
            drive.raised(error)
            raise
        watch = self.watch
        if watch is not None and not watch.wants(sql):
            watch = None
        self._applied(drive, watch, sql, rows, cursor)
        return cursor

    def _last_row_id(self, cursor: sqlite3.Cursor, rows: Sequence[Any]) -> int:
        if len(rows) == 1 and cursor.lastrowid is not None:
            return cursor.lastrowid
        (last,) = super().execute("SELECT last_insert_rowid()").fetchone()  # `executemany` has none
        return int(last)

    def limit_pages(self, limit: int) -> None:
        """Let the file grow to so many pages (it keeps those it has); 0: to SQLite's own limit."""
        with suppress(sqlite3.ProgrammingError):  # it is closed
            super().execute(f"PRAGMA max_page_count = {limit or _PAGES_MAX}")

    def _applied(
        self,
        drive: Drive,
        watch: Watch | None,
        sql: str,
        rows: Sequence[Any],
        cursor: sqlite3.Cursor,
    ) -> None:
        lost = drive.gone
        try:
            if drive.arms:
                drive.statement(sql, "after", self)
        finally:
            if watch is not None and not lost:
                watch.ran(
                    sql,
                    rows,
                    cursor.rowcount,
                    self._last_row_id(cursor, rows) if sql.lstrip().startswith("INSERT") else 0,
                    open_=self.in_transaction,
                    certain=not drive.gone,
                )


class NoThread:
    """Stands in for aiosqlite's thread: there is none."""

    def __init__(self, *_given: object, **_named: object) -> None:
        """Take what Thread takes."""

    def start(self) -> None:
        """Start nothing."""

    def join(self, _timeout: float | None = None) -> None:
        """Wait for nothing."""

    def is_alive(self) -> bool:
        """It never is."""
        return False


class InlineQueue:
    """Stands in for the queue between aiosqlite and its thread; see the module."""

    def __init__(self) -> None:
        loop = asyncio.get_event_loop()
        owner = CURRENT.get()
        self._loop = loop if isinstance(loop, VirtualLoop) else None
        self._drive = DRIVES.get(owner) if owner is not None else None
        self._calls: deque[tuple[asyncio.Future[Any] | None, Call]] = deque()
        self._busy = False

    def put_nowait(self, item: tuple["asyncio.Future[Any] | None", Call]) -> None:
        """Take an operation; it executes after those before it."""
        self._calls.append(item)
        if not self._busy:
            self._next()

    def _next(self) -> None:
        self._busy = bool(self._calls)
        if self._calls:
            loop, drive = self._loop, self._drive
            if loop is None or drive is None:
                self._answer(*self._run(self._calls.popleft()))
                return
            at = loop.time() + drive.delays()[0]
            loop.call_at(at, self._execute, self._calls.popleft(), loop, drive)

    def _execute(
        self, item: tuple["asyncio.Future[Any] | None", Call], loop: VirtualLoop, drive: Drive
    ) -> None:
        answer = self._run(item)
        failed = answer[2]
        drive.note("sql", type(failed).__name__ if failed is not None else "ok")
        if drive.executed():
            loop.call_at(loop.time() + drive.delays()[1], self._answer, *answer)

    def _run(
        self, item: tuple["asyncio.Future[Any] | None", Call]
    ) -> tuple["asyncio.Future[Any] | None", Any, BaseException | None]:
        future, call = item
        try:
            result = call()
        except BaseException as error:  # it is the caller's to judge, as with a thread
            return future, None, error
        if isinstance(result, SimConnection):
            result.drive = drive = self._drive
            file = _file_of(result)
            result.wal = f"{file}-wal"
            result.watch = None if drive is None else drive.watch(Path(file).name)
            if drive is not None:
                drive.opened(result)
        return future, result, None

    def _answer(
        self, future: "asyncio.Future[Any] | None", result: Any, error: BaseException | None
    ) -> None:
        if future is not None and not future.done():
            if error is not None:
                future.set_exception(error)
            else:
                future.set_result(result)
        self._next()


def _file_of(connection: sqlite3.Connection) -> str:
    (_, _, file) = connection.execute("PRAGMA database_list").fetchone()
    return str(file)
