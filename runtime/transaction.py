"""One transaction of a group of works: what each of them sees, and what becomes of those that fail.

The law: a work that raises fails alone, a commit that fails fails them all; what is taken back in
the database is taken back outside of it too.
"""

import sqlite3
from collections.abc import Callable
from typing import Any, TypeVar

from runtime.errors import StoreUnavailable
from runtime.groups import Group, Slot
from runtime.sqlite import as_failure, is_broken, is_sqlite, is_transient
from runtime.staged import NotTogether, Row, Staged, Statement

T = TypeVar("T")


class Transaction:
    """What one work sees of its group's transaction. All of it runs on the database's thread.

    State outside the database that a work changes (a cache) belongs to that thread too, and is
    given back through `on_rollback`.
    """

    __slots__ = ("_connection", "_staged", "notices", "undos")

    def __init__(self, connection: sqlite3.Connection, staged: Staged | None = None) -> None:
        self._connection = connection
        self._staged = staged
        self.undos: list[Callable[[], None]] = []
        self.notices: list[Callable[[], None]] = []

    @property
    def connection(self) -> sqlite3.Connection:
        """The connection; whoever looks through it sees everything that was written before."""
        if self._staged is not None:
            self._staged.write()
        return self._connection

    def reading(self, table: str) -> sqlite3.Connection:
        """Return the connection to who looks into this table alone: other rows may wait longer."""
        if self._staged is not None:
            self._staged.write(table)
        return self._connection

    def write(self, statement: Statement, row: Row) -> None:
        """Write a row by ``statement``, together with those of the other works.

        Raises `sqlite3.IntegrityError` where the row is refused - not always: it may be only after
        this work that SQLite sees the row. Then the group is run again, and this raises.
        """
        if self._staged is not None:
            self._staged.add(statement, row)
        else:
            self._connection.execute(statement.sql, row)

    def on_rollback(self, undo: Callable[[], None]) -> None:
        """Call ``undo`` on the database's thread if this work, or its whole group, is rolled back.

        The latest registered runs first, and all before the next work begins. It must not raise.
        """
        self.undos.append(undo)

    def on_commit(self, notice: Callable[[], None]) -> None:
        """Call ``notice`` in the event loop after the COMMIT, once a group. It must not raise."""
        self.notices.append(notice)

    def undo(self) -> None:
        """Give back what the work changed outside the database; only the group calls it."""
        self.notices.clear()
        while self.undos:
            self.undos.pop()()


Work = Callable[[Transaction], T]
"""Runs on the database's thread. It may run SQL; it must not end the transaction, nor wait.

It may be run again, after everything that it did was taken back (see `Transaction.on_rollback`).
"""


def commit(name: str, group: Group[Transaction], connection: sqlite3.Connection) -> None:
    """Carry out a group's works in one transaction, on the connection's thread.

    Every slot has its answer or failure then. Raises what leaves the outcome unknown.
    """
    begun: list[Transaction] = []
    try:
        if not _carry_out(name, group, connection, begun):
            _undo(begun, connection)
            _carry_out_apart(name, group, connection, begun)
        connection.execute("COMMIT")
    except BaseException as error:
        _undo(begun, connection)
        if not is_transient(error):
            raise
        message = f"{name} cannot commit, nothing was kept: {error}"
        group.refusal = str(error)
        group.fail(lambda: StoreUnavailable(message))
    else:
        for transaction in begun:
            if transaction.notices:
                group.notices.update(dict.fromkeys(transaction.notices))


def _undo(begun: list[Transaction], connection: sqlite3.Connection) -> None:
    for transaction in reversed(begun):
        transaction.undo()
    begun.clear()
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _carry_out(
    name: str, group: Group[Transaction], connection: sqlite3.Connection, begun: list[Transaction]
) -> bool:
    """Carry out the works together; False where they must be carried out apart.

    That is for the sake of the rare work that changes something before it raises, or whose rows are
    refused: a savepoint costs a copy of each page that is written after it.
    """
    connection.execute("BEGIN IMMEDIATE")
    staged = Staged(connection)
    try:
        for slot in group.slots:
            transaction = Transaction(connection, staged)
            begun.append(transaction)
            unchanged = connection.total_changes, staged.count
            if not _attempt(name, transaction, slot, connection):
                if (connection.total_changes, staged.count) != unchanged:
                    return False
                transaction.undo()
        staged.write()
    except NotTogether:
        return False
    return True


def _carry_out_apart(
    name: str, group: Group[Transaction], connection: sqlite3.Connection, begun: list[Transaction]
) -> None:
    """Carry out the works, each with a savepoint, so that one that fails takes back its own."""
    connection.execute("BEGIN IMMEDIATE")
    for slot in group.slots:
        transaction = Transaction(connection)
        begun.append(transaction)
        connection.execute("SAVEPOINT work")
        slot.failure = None
        if not _attempt(name, transaction, slot, connection):
            connection.execute("ROLLBACK TO work")
            transaction.undo()
        connection.execute("RELEASE work")


def _attempt(
    name: str,
    transaction: Transaction,
    slot: Slot[Transaction, Any],
    connection: sqlite3.Connection,
) -> bool:
    """Carry out one work; False where it raised, which is in its slot then and nowhere else.

    Raises what ended the whole transaction.
    """
    try:
        slot.answer = slot.work(transaction)
    except Exception as error:
        # After some errors SQLite has rolled back the whole transaction by itself.
        if is_broken(error) or (is_sqlite(error) and not connection.in_transaction):
            raise
        slot.failure = as_failure(name, error)
        return False
    assert connection.in_transaction, "a work ended the transaction of its whole group"
    return True
