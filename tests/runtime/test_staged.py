"""Rows written together: as if each work had written its own, and with fewer calls."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from runtime.database import Database, open_database
from runtime.host import production_host
from runtime.staged import NotTogether, Staged, Statement
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE things (id TEXT PRIMARY KEY, state TEXT NOT NULL CHECK (state <> 'refused')) STRICT;
CREATE TABLE others (id TEXT PRIMARY KEY) STRICT;
"""
ADD = Statement("things", "INSERT INTO things (id, state) VALUES (?, ?)")
CHANGE = Statement("things", "UPDATE things SET state = ?2 WHERE id = ?1")
OTHER = Statement("others", "INSERT INTO others (id) VALUES (?)")


class Counting(sqlite3.Connection):
    """Counts the calls that write."""

    calls = 0

    def executemany(self, sql: str, rows: object, /) -> sqlite3.Cursor:
        self.calls += 1
        return super().executemany(sql, rows)  # type: ignore[arg-type]


@pytest.fixture
def connection() -> Counting:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=Counting)
    connection.executescript(SCHEMA)
    connection.execute("BEGIN")
    return connection


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with open_database(production_host(tmp_path).disk, "a.db", [SCHEMA]) as database:
        yield database


async def things(database: Database) -> dict[str, str]:
    return dict(await database.read(lambda c: c.execute("SELECT * FROM things").fetchall()))


def writes(*rows: tuple[Statement, tuple[str, ...]]) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        for statement, row in rows:
            tx.write(statement, row)

    return work


def test_a_statement_is_one_call_for_all_its_rows(connection: Counting) -> None:
    staged = Staged(connection)
    for number in range(10):
        staged.add(ADD, (f"t{number}", "new"))
        staged.add(OTHER, (f"o{number}",))
    assert connection.calls == 0
    staged.write()
    assert (connection.calls, staged.count) == (2, 20)
    staged.write()
    assert connection.calls == 2, "what is written is not written again"


def test_the_order_of_a_table_is_kept(connection: Counting) -> None:
    staged = Staged(connection)
    staged.add(ADD, ("a", "new"))
    staged.add(CHANGE, ("a", "changed"))
    staged.add(ADD, ("b", "new"))
    staged.add(CHANGE, ("a", "changed again"))
    staged.write()
    assert dict(connection.execute("SELECT * FROM things")) == {"a": "changed again", "b": "new"}


def test_whoever_looks_sees_what_was_written_before(connection: Counting) -> None:
    staged = Staged(connection)
    first, second = Transaction(connection, staged), Transaction(connection, staged)
    first.write(ADD, ("a", "new"))
    assert second.connection.execute("SELECT state FROM things").fetchall() == [("new",)]


def test_a_refused_row_is_nobodys(connection: Counting) -> None:
    staged = Staged(connection)
    staged.add(ADD, ("a", "refused"))
    with pytest.raises(NotTogether):
        staged.write()


async def test_of_works_that_write_together_only_the_one_whose_row_is_refused_fails(
    database: Database,
) -> None:
    undone: list[str] = []

    def refused(tx: Transaction) -> None:
        tx.on_rollback(lambda: undone.append("refused"))
        tx.write(ADD, ("b", "refused"))

    answers = await database.write_all(
        [writes((ADD, ("a", "new"))), refused, writes((ADD, ("c", "new"))), refused]
    )
    assert [type(answer) for answer in answers] == [
        type(None),
        sqlite3.IntegrityError,
        type(None),
        sqlite3.IntegrityError,
    ]
    assert await things(database) == {"a": "new", "c": "new"}
    assert undone == ["refused"] * 4, "once with the whole group, once alone"


async def test_a_work_that_looks_is_not_told_of_another_works_refused_row(
    database: Database,
) -> None:
    def look(tx: Transaction) -> int:
        try:
            (count,) = tx.connection.execute("SELECT count(*) FROM things").fetchone()
        except sqlite3.IntegrityError:  # pragma: no cover - the bug that this is about
            return -1
        return int(count)

    refused = writes((ADD, ("a", "refused")))
    kept = writes((ADD, ("b", "new")))
    answers = await database.write_all([refused, kept, look])
    assert isinstance(answers[0], sqlite3.IntegrityError)
    assert answers[1:] == [None, 1]


async def test_a_work_that_raises_after_it_wrote_keeps_nothing_and_others_keep_all(
    database: Database,
) -> None:
    def fails(tx: Transaction) -> None:
        tx.write(ADD, ("a", "new"))
        raise ValueError("planted")

    answers = await database.write_all(
        [writes((ADD, ("b", "new")), (OTHER, ("b",))), fails, writes((CHANGE, ("b", "changed")))]
    )
    assert [type(answer) for answer in answers] == [type(None), ValueError, type(None)]
    assert await things(database) == {"b": "changed"}
