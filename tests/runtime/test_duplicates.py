"""Copies that were discarded are counted by message, and forgotten for their age."""

import sqlite3
from collections.abc import Iterator

import pytest

from runtime import duplicates
from runtime.transaction import Transaction


@pytest.fixture
def tx() -> Iterator[Transaction]:
    connection = sqlite3.connect(":memory:")
    connection.executescript(duplicates.SCHEMA)
    yield Transaction(connection)
    connection.close()


def test_each_copy_counts_for_its_message(tx: Transaction) -> None:
    for message_id in ("a", "b", "a", "a"):
        duplicates.note_duplicate(tx, message_id, 1000)
    assert duplicates.discarded(tx.connection, ["a", "b", "c"]) == {"a": 3, "b": 1}


def test_the_latest_copy_says_when_it_is_forgotten(tx: Transaction) -> None:
    duplicates.note_duplicate(tx, "old", 1000)
    duplicates.note_duplicate(tx, "older", 900)
    duplicates.note_duplicate(tx, "came again", 800)
    duplicates.note_duplicate(tx, "came again", 2000)
    assert duplicates.purge_duplicates(tx, 1001, limit=1) == 1
    assert duplicates.discarded(tx.connection, ["old", "older", "came again"]) == {
        "old": 1,
        "came again": 2,
    }
    assert duplicates.purge_duplicates(tx, 1001) == 1
    assert duplicates.purge_duplicates(tx, 1001) == 0
    assert duplicates.discarded(tx.connection, ["old", "came again"]) == {"came again": 2}
