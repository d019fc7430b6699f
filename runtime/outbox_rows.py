"""The outbox's rows as its relay, and who verifies the table, read and remove them."""

import sqlite3
from collections.abc import Sequence

import msgspec

from runtime.publishing import Outgoing
from runtime.stored import message_of
from runtime.transaction import Transaction

_SELECT = "SELECT position, key, exchange, routing_key, properties, body FROM outbox"


class Row(msgspec.Struct, frozen=True):
    """A row as it is stored."""

    position: int
    key: str
    exchange: str
    routing_key: str
    properties: bytes
    body: bytes

    def outgoing(self) -> Outgoing:
        """Return the message that it holds, and where it goes."""
        return Outgoing(self.exchange, self.routing_key, message_of(self.properties, self.body))


class Look(msgspec.Struct, frozen=True):
    """What one read of the table found. ``given`` is the last position ever given out."""

    new: list[Row]
    wanted: list[Row]
    given: int
    oldest: int | None


def waiting(reader: sqlite3.Connection, after: int, limit: int) -> list[tuple[int, str, Outgoing]]:
    """Return position, key and message of the next rows, for who verifies the table."""
    rows = reader.execute(f"{_SELECT} WHERE position > ? ORDER BY position LIMIT ?", (after, limit))
    return [(row[0], row[1], Row(*row).outgoing()) for row in rows]


def look(after: int, limit: int, wanted: Sequence[int], connection: sqlite3.Connection) -> Look:
    """Read at most ``limit`` rows after a position, and those at the ``wanted`` ones."""
    new = connection.execute(
        f"{_SELECT} WHERE position > ? ORDER BY position LIMIT ?", (after, limit)
    )
    rows = [Row(*row) for row in new]
    heads = [
        Row(*connection.execute(f"{_SELECT} WHERE position = ?", (position,)).fetchone())
        for position in wanted
    ]
    oldest = connection.execute("SELECT timestamp FROM outbox ORDER BY position LIMIT 1").fetchone()
    return Look(rows, heads, given(connection), None if oldest is None else oldest[0])


def given(connection: sqlite3.Connection) -> int:
    """Return the last position that was ever given out."""
    row = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'outbox'").fetchone()
    return 0 if row is None else int(row[0])


def count(tx: Transaction) -> tuple[int, int]:
    """Return how many positions were ever given, and how many of those rows are gone."""
    (pending,) = tx.connection.execute("SELECT count(*) FROM outbox").fetchone()
    ever = given(tx.connection)
    return ever, ever - int(pending)


def remove(positions: Sequence[tuple[int]], tx: Transaction) -> None:
    """Remove rows that were confirmed."""
    tx.connection.executemany("DELETE FROM outbox WHERE position = ?", positions)
