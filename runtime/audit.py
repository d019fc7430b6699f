"""What operators did: one append-only table in the database of the process that did it.

Two rows for each deed, one before it begins and one that says how it ended, so that a deed that a
kill has cut off is there too. Reasons are the operator's own words; a target is an id, never a
person's data.
"""

import sqlite3

import msgspec

from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at_ms INTEGER NOT NULL,
    actor TEXT NOT NULL,
    action TEXT NOT NULL,
    target TEXT NOT NULL,
    reason TEXT NOT NULL,
    outcome TEXT NOT NULL
) STRICT;
CREATE TRIGGER audit_is_not_updated BEFORE UPDATE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
CREATE TRIGGER audit_is_not_deleted BEFORE DELETE ON audit
BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END;
"""

STARTED = "started"


class Deed(msgspec.Struct, frozen=True):
    """Who does what to what, and why; ``actor`` is the principal's name."""

    actor: str
    action: str
    target: str
    reason: str = ""


class AuditEntry(msgspec.Struct, frozen=True):
    """One row; ``at_ms`` is Unix time in milliseconds."""

    sequence: int
    at_ms: int
    actor: str
    action: str
    target: str
    reason: str
    outcome: str


def note(tx: Transaction, deed: Deed, outcome: str, at_ms: int) -> None:
    """Append a row."""
    tx.connection.execute(
        "INSERT INTO audit (at_ms, actor, action, target, reason, outcome)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (at_ms, deed.actor, deed.action, deed.target, deed.reason, outcome),
    )


def entries(connection: sqlite3.Connection, limit: int = 100) -> list[AuditEntry]:
    """Return the latest rows, newest first."""
    rows = connection.execute(
        "SELECT sequence, at_ms, actor, action, target, reason, outcome FROM audit"
        " ORDER BY sequence DESC LIMIT ?",
        (limit,),
    )
    return [AuditEntry(*row) for row in rows]
