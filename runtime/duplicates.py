"""How often a message came once too often: what was acknowledged and did nothing.

A table of its own beside the inbox, so that a row of the inbox changes only where there is work to
do. It is for whoever looks after the service; nothing is decided by it.
"""

import sqlite3
from collections.abc import Sequence

from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE duplicate (
    message_id TEXT PRIMARY KEY,
    discarded INTEGER NOT NULL,
    latest_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX duplicate_latest ON duplicate (latest_at_ms);
"""


def note_duplicate(tx: Transaction, message_id: str, now_ms: int) -> None:
    """Count one more copy that was discarded."""
    tx.connection.execute(
        "INSERT INTO duplicate (message_id, discarded, latest_at_ms) VALUES (?, 1, ?)"
        " ON CONFLICT (message_id) DO UPDATE SET discarded = discarded + 1,"
        " latest_at_ms = excluded.latest_at_ms",
        (message_id, now_ms),
    )


def discarded(connection: sqlite3.Connection, message_ids: Sequence[str]) -> dict[str, int]:
    """Return how many copies of each of these messages were discarded, where any were."""
    found: dict[str, int] = {}
    for message_id in message_ids:
        row = connection.execute(
            "SELECT discarded FROM duplicate WHERE message_id = ?", (message_id,)
        ).fetchone()
        if row is not None:
            found[message_id] = row[0]
    return found


def purge_duplicates(tx: Transaction, before_ms: int, limit: int = 1000) -> int:
    """Forget at most ``limit`` messages of which no copy came since this time; return how many."""
    return tx.connection.execute(
        "DELETE FROM duplicate WHERE message_id IN (SELECT message_id FROM duplicate"
        " WHERE latest_at_ms < ? ORDER BY latest_at_ms LIMIT ?)",
        (before_ms, limit),
    ).rowcount
