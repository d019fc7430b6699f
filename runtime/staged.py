"""Rows that the works of one group write together: a call of SQLite for each statement, not row.

A row on its way costs its caller a hand-over of the interpreter's lock, there and back, which is
more than SQLite's own work on it. So what is only written, and answers nothing, is staged and
written at the end of the group, or as soon as a work looks into the database.
"""

import sqlite3
from collections.abc import Sequence

from runtime.sqlite import is_broken

Row = Sequence[object]


class Statement:
    """A statement that writes one row of ``table`` and answers nothing."""

    __slots__ = ("sql", "table")

    def __init__(self, table: str, sql: str) -> None:
        self.table = table
        self.sql = sql


class NotTogether(BaseException):
    """A staged row was refused, and nobody knows whose it was: the works must write one by one.

    No work may take it for an error of its own; hence a `BaseException`.
    """


class Staged:
    """What the works of a group have staged: in order for each table, which is all that matters.

    ``count`` is the number of rows ever staged, so a work that staged something is known by it.
    """

    __slots__ = ("_connection", "_tables", "count")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._tables: dict[str, list[tuple[Statement, list[Row]]]] = {}
        self.count = 0

    def add(self, statement: Statement, row: Row) -> None:
        """Stage a row."""
        self.count += 1
        runs = self._tables.get(statement.table)
        if runs is None:
            self._tables[statement.table] = [(statement, [row])]
        elif runs[-1][0] is statement:
            runs[-1][1].append(row)
        else:
            runs.append((statement, [row]))

    def write(self, table: str | None = None) -> None:
        """Write what is staged (for one table). Raises `NotTogether`, and what breaks a store."""
        if table is None:
            waiting, self._tables = self._tables, {}
        else:
            runs = self._tables.pop(table, None)
            waiting = {} if runs is None else {table: runs}
        try:
            for runs in waiting.values():
                for statement, rows in runs:
                    self._connection.executemany(statement.sql, rows)
        except sqlite3.Error as error:
            if is_broken(error) or not self._connection.in_transaction:
                raise
            raise NotTogether from error
