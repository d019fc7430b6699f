"""What counts as committed: rows of transactions that ended well, and nothing else."""

import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest

from sim.judges.observed import Commit
from sim.watch.commits import CommitWatch, Form, form_of

TABLE = "CREATE TABLE inbox (message_id TEXT PRIMARY KEY, state TEXT, incarnation TEXT, at INTEGER)"
CLAIM = "INSERT INTO inbox (message_id, state, incarnation, at) VALUES (?, 'claimed', ?, ?)"
SETTLE = "UPDATE inbox SET state = 'done', at = ? WHERE message_id = ? AND incarnation = ?"


class Connection:
    """A real database whose statements are shown to a watch, as `sim.sqlite` shows them."""

    def __init__(self) -> None:
        self.commits: list[Commit] = []
        self._sqlite = sqlite3.connect(":memory:", isolation_level=None)
        watch = CommitWatch(lambda: (1.5, 7), self.commits.append)
        self._watch = watch.watch("payment", 2, "payment.db")
        self.run(TABLE)

    def run(self, sql: str, *parameters: Any, certain: bool = True) -> None:
        cursor = self._sqlite.execute(sql, parameters)
        if not self._watch.wants(sql):
            return
        self._watch.ran(
            sql,
            (parameters,),
            cursor.rowcount,
            cursor.lastrowid or 0,
            open_=self._sqlite.in_transaction,
            certain=certain,
        )

    def close(self) -> None:
        self._sqlite.close()

    def ids(self) -> list[str]:
        return [one.values.get("message_id") or one.where["message_id"] for one in self.commits]


@pytest.fixture
def connection() -> Iterator[Connection]:
    made = Connection()
    yield made
    made.close()


def test_rows_are_told_at_the_commit_with_what_was_set_and_where(connection: Connection) -> None:
    connection.run("BEGIN IMMEDIATE")
    connection.run(CLAIM, "m1", "inc_1", 5)
    connection.run(SETTLE, 9, "m1", "inc_1")
    assert connection.commits == []
    connection.run("COMMIT")
    claimed, settled = connection.commits
    assert claimed.values == {
        "message_id": "m1",
        "state": "claimed",
        "incarnation": "inc_1",
        "at": 5,
    }
    assert (settled.verb, settled.table, settled.rows) == ("update", "inbox", 1)
    assert settled.values == {"state": "done", "at": 9}
    assert settled.where == {"message_id": "m1", "incarnation": "inc_1"}
    assert (settled.at, settled.step, settled.node, settled.incarnation) == (1.5, 7, "payment", 2)
    assert settled.certain


def test_what_is_rolled_back_never_happened(connection: Connection) -> None:
    connection.run("BEGIN IMMEDIATE")
    connection.run("SAVEPOINT work")
    connection.run(CLAIM, "kept", "inc_1", 5)
    connection.run("RELEASE work")
    connection.run("SAVEPOINT work")
    connection.run(CLAIM, "undone", "inc_1", 5)
    connection.run("ROLLBACK TO work")
    connection.run("RELEASE work")
    connection.run("COMMIT")
    connection.run("BEGIN IMMEDIATE")
    connection.run(CLAIM, "lost", "inc_1", 5)
    connection.run("ROLLBACK")
    connection.run(CLAIM, "alone", "inc_1", 5)
    assert connection.ids() == ["kept", "alone"]


def test_a_statement_that_changed_nothing_is_no_commit(connection: Connection) -> None:
    connection.run("BEGIN")
    connection.run(SETTLE, 9, "nobody", "inc_1")
    connection.run("SELECT count(*) FROM inbox")
    connection.run("COMMIT")
    assert connection.commits == []


def test_a_commit_at_which_the_power_went_is_uncertain(connection: Connection) -> None:
    connection.run("BEGIN")
    connection.run(CLAIM, "m1", "inc_1", 5)
    connection.run("COMMIT", certain=False)
    assert [one.certain for one in connection.commits] == [False]


@pytest.mark.parametrize(
    ("sql", "form"),
    [
        ("SELECT * FROM inbox", None),
        ("DELETE FROM strangers WHERE id = ?", None),
        ("DELETE FROM outbox", Form("delete", "outbox", {}, {})),
        (
            (
                "DELETE FROM inbox WHERE message_id IN (SELECT message_id FROM inbox"
                " WHERE state = 'done' AND at < ? ORDER BY at LIMIT ?)"
            ),
            Form("delete", "inbox", {}, {"state": "done", "at <": 0}),
        ),
        (
            "DELETE FROM outbox WHERE position = ?",
            Form("delete", "outbox", {}, {"position": 0}),
        ),
        (
            (
                "INSERT INTO inbox (message_id, steps, at) VALUES (?, NULL, ?) ON CONFLICT"
                " (message_id) DO UPDATE SET at = excluded.at"
            ),
            Form("insert", "inbox", {"message_id": 0, "steps": "NULL", "at": 1}, {}),
        ),
        (
            (
                "UPDATE inbox SET state = ?, attempt = ?, at = ? WHERE message_id = ?"
                " AND incarnation = ? AND state IN ('claimed', 'held')"
            ),
            Form(
                "update",
                "inbox",
                {"state": 0, "attempt": 1, "at": 2},
                {"message_id": 3, "incarnation": 4},
            ),
        ),
    ],
)
def test_forms(sql: str, form: Form | None) -> None:
    assert form_of(sql) == form
