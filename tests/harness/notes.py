"""What the tests of the database write into one: notes."""

import sqlite3
import threading
from collections.abc import Callable

from runtime.errors import Rejection
from runtime.transaction import Transaction

SCHEMA = "CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;"


def insert(text: str) -> Callable[[Transaction], int]:
    def work(tx: Transaction) -> int:
        row = tx.connection.execute("INSERT INTO notes (text) VALUES (?)", (text,)).lastrowid
        assert row is not None
        return row

    return work


def refuse(tx: Transaction) -> int:
    insert("refused")(tx)
    raise Rejection("no", "not this one")


def texts(connection: sqlite3.Connection) -> list[str]:
    return [text for (text,) in connection.execute("SELECT text FROM notes ORDER BY id")]


class Gate:
    """Keeps the database's thread inside a work, so that what comes after is one group."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self.released = threading.Event()

    def __call__(self, tx: Transaction) -> str:
        self.entered.set()
        assert self.released.wait(20)
        return "gate"
