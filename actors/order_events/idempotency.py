"""Remembered outcomes: the same key and request give the same answer for ever.

The record is written in the transaction of the append (or of the refusal) it stands for. What is
kept is the *domain outcome* - order and version, or the rejection - not a rendered reply. A request
that was never decided (validation, anything unavailable) leaves no record, and so may be corrected
and sent again under its key. ``If-Match`` is part of the request: see `find`.
"""

import sqlite3

import msgspec

from actors.domain.order_events import Intent
from runtime.errors import Rejection
from runtime.staged import Statement
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE idempotency (
    principal TEXT NOT NULL,
    route TEXT NOT NULL,
    key TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    expected_version INTEGER,
    order_id TEXT NOT NULL,
    version INTEGER,
    rejection BLOB,
    decided_at_ms INTEGER NOT NULL,
    PRIMARY KEY (principal, route, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_age ON idempotency (decided_at_ms);
"""


class Accepted(msgspec.Struct, frozen=True):
    """The command led to this version of this order."""

    order_id: str
    version: int


class Refused(msgspec.Struct, frozen=True):
    """The command was refused; what a client was told."""

    code: str
    message: str
    status_hint: int
    details: dict[str, object]

    def rejection(self) -> Rejection:
        """Return the same refusal, marked as a replay."""
        details = {**self.details, "replayed": True}
        return Rejection(self.code, self.message, status_hint=self.status_hint, details=details)


Outcome = Accepted | Refused


_REMEMBER = Statement("idempotency", "INSERT INTO idempotency VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")


def find(tx: Transaction, intent: Intent) -> Outcome | None:
    """Return what was decided under the intent's key, or None.

    The same key with another body or another expected version is another request: Rejection
    (``idempotency-key-reused``, 422).
    """
    if intent.key is None:
        return None
    row = (
        tx.reading("idempotency")
        .execute(
            "SELECT fingerprint, expected_version, order_id, version, rejection FROM idempotency"
            " WHERE principal = ? AND route = ? AND key = ?",
            (intent.principal, intent.route, intent.key),
        )
        .fetchone()
    )
    if row is None:
        return None
    fingerprint, expected_version, order_id, version, rejection = row
    if (fingerprint, expected_version) != (intent.fingerprint, intent.expected_version):
        message = "This idempotency key was used with another request."
        raise Rejection("idempotency-key-reused", message, status_hint=422)
    if rejection is not None:
        return msgspec.json.decode(rejection, type=Refused)
    return Accepted(order_id, version)


def remember(
    tx: Transaction, intent: Intent, order_id: str, outcome: Accepted | Rejection, at_ms: int
) -> None:
    """Store the outcome under the intent's key, if it has one."""
    if intent.key is None:
        return
    assert intent.fingerprint is not None, "an intent with a key has a fingerprint"
    tx.write(
        _REMEMBER,
        (
            intent.principal,
            intent.route,
            intent.key,
            intent.fingerprint,
            intent.expected_version,
            order_id,
            outcome.version if isinstance(outcome, Accepted) else None,
            _encode(outcome) if isinstance(outcome, Rejection) else None,
            at_ms,
        ),
    )


def _encode(refused: Rejection) -> bytes:
    return msgspec.json.encode(
        Refused(refused.code, refused.message, refused.status_hint, refused.details)
    )


def purge(connection: sqlite3.Connection, before_ms: int, rows_max: int) -> int:
    """Forget at most ``rows_max`` of the outcomes decided before ``before_ms``; say how many."""
    keys = connection.execute(
        "SELECT principal, route, key FROM idempotency WHERE decided_at_ms < ?"
        " ORDER BY decided_at_ms LIMIT ?",
        (before_ms, rows_max),
    ).fetchall()
    connection.executemany(
        "DELETE FROM idempotency WHERE principal = ? AND route = ? AND key = ?", keys
    )
    return len(keys)


def erase(connection: sqlite3.Connection, order_id: str) -> None:
    """Forget the fingerprints of the order's requests, the only trace of what was in them.

    The keys stay taken: one that is used again is refused, it does not place another order.
    """
    connection.execute("UPDATE idempotency SET fingerprint = '' WHERE order_id = ?", (order_id,))
