"""SQLite with one writer and group commit: everything that waits goes into one transaction.

The law of this file:
- One owner per connection. A whole transaction is one function on the connection's thread, so it
  ends even if its callers are cancelled. Callers never touch the connection.
- Answers, exceptions too, are told only after COMMIT: an answer may rest on what an earlier work of
  the same group has staged. A work that raises fails alone: what it did is rolled back. If it had
  changed something by then, the whole group is, and all its works are run again.
- A failed commit fails the whole group with `StoreUnavailable`, everything undone. After an I/O
  error the outcome is unknown: `StoreBroken` for all, and the process ends (see errors.py).
- One process per file (a lock), and one connection in it that writes and checkpoints, because of
  the WAL-reset bug (sqlite.org/wal.html). The reader sees committed state only.
"""

import math
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import TypeVar, cast

import anyio
import anyio.abc
import msgspec

from runtime.endings import StrayCancellation, was_meant
from runtime.errors import StoreBroken, StoreUnavailable
from runtime.groups import Group, Groups
from runtime.host import Disk
from runtime.sqlite import (
    answer,
    broken_by,
    is_transient,
    set_up_reader,
    set_up_writer,
    truncate_log,
    unopened,
)
from runtime.sqlite_thread import SqliteThread
from runtime.transaction import Transaction, Work, commit

T = TypeVar("T")
REFUSED_S = 3.0


Query = Callable[[sqlite3.Connection], T]
"""Runs on the reader's thread in a read transaction. Keep it well under a second."""


class DatabaseStatistics(msgspec.Struct, frozen=True):
    """Counters since opening; ``waiting`` is the number of works and queries not yet answered."""

    waiting: int
    groups: int
    works: int
    works_failed: int
    queries: int
    group_largest: int
    checkpoints: int


class Database:
    """One SQLite file; `open_database` makes it, and the module's docstring is its law."""

    def __init__(self, path: Path, batch_max: int) -> None:
        self._path = path
        self._name = path.name
        self._writing = SqliteThread(path, "rwc")
        self._reading = SqliteThread(path, "ro")
        self._works = Groups(path.name, self._commit, batch_max)
        self._queries = Groups(path.name, self._answer, batch_max)
        self._dirty = anyio.Event()
        self._checkpoints = 0
        self._refused = -math.inf, ""
        self.broken: StoreBroken | None = None

    async def write(self, work: Work[T]) -> T:
        """Run ``work`` in the next group's transaction; return its answer after the COMMIT.

        Raises what ``work`` raised (nothing of it was kept), `StoreUnavailable` (nothing of its
        group was kept) or `StoreBroken` (unknown). Cancelling the caller does not stop the work.
        """
        return await self._works.enqueue(work).result()

    async def write_all(self, works: Sequence[Work[T]]) -> list[T | Exception]:
        """Do `write` for each, in order; each fails alone. Return an answer or exception each."""
        slots = self._works.enqueue_batch(works)
        answers: list[T | Exception] = []
        for slot in slots:
            if not slot.told:  # only once a group
                await slot.wait()
            failure = slot.taken_failure()
            if failure is None:
                answers.append(cast("T", slot.answer))
            elif isinstance(failure, Exception):
                answers.append(failure)
            else:
                raise failure
        return answers

    async def read(self, query: Query[T]) -> T:
        """Run ``query`` on committed state; it sees every write that was answered before."""
        return await self._queries.enqueue(query).result()

    async def checkpoint(self) -> bool:
        """Move the write-ahead log into the file and empty it; False where a reader prevented it.

        Together with ``secure_delete`` this is what takes deleted bytes off the disk. Raises
        `StoreUnavailable` where the disk is full.
        """
        try:
            emptied = await self._writing.visit(truncate_log)
        except sqlite3.Error as error:
            if is_transient(error):
                raise StoreUnavailable(f"{self._name}: checkpoint: {error}") from error
            raise broken_by(self._path, error) from error
        self._checkpoints += 1
        return emptied

    @property
    def written(self) -> int:
        """A number that is another one once something was committed, however that was answered."""
        return self._works.groups

    def statistics(self) -> DatabaseStatistics:
        """Return the counters."""
        return DatabaseStatistics(
            waiting=self._works.waiting + self._queries.waiting,
            groups=self._works.groups,
            works=self._works.carried_out,
            works_failed=self._works.failed,
            queries=self._queries.carried_out,
            group_largest=self._works.largest,
            checkpoints=self._checkpoints,
        )

    def check(self) -> str:
        """Return ``ok``, or why it could not commit within the last ``REFUSED_S``.

        Time alone makes it ``ok`` again. A commit after it proves nothing: it may have had nothing
        to write. And where everybody is told to go elsewhere there would be none.
        """
        refused_at, refusal = self._refused
        recently = refusal and anyio.current_time() - refused_at < REFUSED_S
        return f"cannot commit: {refusal}" if recently else "ok"

    async def _commit(self, group: Group[Transaction]) -> None:
        await self._writing.visit(partial(commit, self._name, group))
        if group.refusal:
            self._refused = anyio.current_time(), group.refusal
        self._dirty.set()

    async def _answer(self, group: Group[sqlite3.Connection]) -> None:
        await self._reading.visit(partial(answer, self._name, group))

    async def open(self, migrations: Sequence[str]) -> None:
        """Open both connections and bring the schema up to date (`open_database` calls it)."""
        try:
            await self._writing.open()
            await self._writing.visit(partial(set_up_writer, self._path, migrations))
            await self._reading.open()
            await self._reading.visit(set_up_reader)
        except BaseException as error:
            await self._reading.close()
            await self._writing.close()
            failure = unopened(self._path, error)
            if failure is None:
                raise
            raise failure from error

    def start(self, tasks: anyio.abc.TaskGroup, idle_s: float) -> None:
        """Start the owners in ``tasks``, which is cancelled when the database breaks."""
        tidy = partial(self._checkpoint_when_idle, idle_s)
        for run in (self._works.run, self._queries.run, tidy):
            tasks.start_soon(self._guard, run, tasks.cancel_scope)

    def stop(self) -> None:
        """Refuse what is new. The owners carry out what waits, and end."""
        self._refuse(lambda: StoreUnavailable(f"{self._name} is closed"))

    async def close(self) -> None:
        """Empty the log, close both connections and wait for their threads."""
        await self._reading.close()
        try:
            if self.broken is None:
                with suppress(StoreUnavailable):
                    await self.checkpoint()
        finally:
            await self._writing.close()

    def end(self) -> None:
        """Let no thread outlive the opening, whatever has kept `close` from its end."""
        self._reading.end()
        self._writing.end()

    async def _guard(self, run: Callable[[], Awaitable[None]], scope: anyio.CancelScope) -> None:
        try:
            await run()
        except StoreBroken as error:
            self._break(error, scope)
        except anyio.get_cancelled_exc_class():
            if was_meant():
                raise
            # The group would take it for an ordinary end, and the process would end in silence.
            cause = StrayCancellation(f"a task of {self._name} was cancelled from outside")
            broken = StoreBroken(f"{self._name}: {cause}")
            broken.__cause__ = cause
            self._break(broken, scope)

    def _break(self, broken: StoreBroken, scope: anyio.CancelScope) -> None:
        message = str(broken)
        self.broken = self.broken or broken_by(self._path, broken.__cause__ or broken)
        self._refuse(lambda: StoreBroken(message))
        scope.cancel()

    def _refuse(self, refusal: Callable[[], BaseException]) -> None:
        self._works.refuse(refusal)
        self._queries.refuse(refusal)

    async def _checkpoint_when_idle(self, idle_s: float) -> None:
        while True:
            await self._dirty.wait()
            groups = -1
            while groups != self._works.groups:
                groups = self._works.groups
                await anyio.sleep(idle_s)
            self._dirty = anyio.Event()
            with suppress(StoreUnavailable):
                await self.checkpoint()


@asynccontextmanager
async def open_database(
    disk: Disk,
    name: str,
    migrations: Sequence[str],
    *,
    batch_max: int = 512,
    checkpoint_idle_s: float = 1.0,
) -> AsyncIterator[Database]:
    """Open the file ``name`` in ``disk``, alone, with its schema brought up to date.

    ``migrations`` are SQL scripts; the n-th leads from version n-1 to n (``user_version``), so a
    list only ever grows at its end. Leaving carries out what waits, empties the log and closes.
    Raises `ConfigurationError` (locked, damaged, or written by a newer program). When the database
    breaks, the body is cancelled and `StoreBroken` comes out, not wrapped in a group.
    """
    lock = disk.lock(name)
    database = Database(disk.root / name, batch_max)
    failure: BaseException | None = None
    try:
        with anyio.CancelScope(shield=True):
            await database.open(migrations)
        try:
            async with anyio.create_task_group() as tasks:
                database.start(tasks, checkpoint_idle_s)
                try:
                    yield database
                except (Exception, BaseExceptionGroup, StoreBroken) as error:
                    failure = error  # raised below: the task group would wrap it
                finally:
                    database.stop()
                    tasks.cancel_scope.cancel()  # the owners shield themselves
        finally:
            with anyio.CancelScope(shield=True):
                await database.close()
            if database.broken is not None:
                raise database.broken
        if failure is not None:
            raise failure
    finally:
        database.end()
        lock.release()
