"""The service's own record of what it asked the provider, in its own database.

One row a call: the intent (key, amount, the version at which the card was read) is committed before
the request leaves, the outcome with the next intent, or when the event that states it could not be
appended. A row without an outcome is a call that may have had its effect: ask the provider by key
before doing anything else. When the event that states the
outcome is in the order's stream, the rows have nothing more to say and leave.

It holds no card token: that stays in the vault.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from actors.domain.values import Money
from actors.payment.provider import KeyConflict, Outcome
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE calls (
    key TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('authorise', 'capture', 'void', 'refund')),
    amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    payment_version INTEGER NOT NULL,
    called_at_ms INTEGER NOT NULL,
    outcome BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX calls_order ON calls (order_id);
"""

CallKind = Literal["authorise", "capture", "void", "refund"]


class Call(msgspec.Struct, frozen=True):
    """One call. ``called_at_ms`` is when its key was first used, Unix time."""

    key: str
    order_id: str
    kind: CallKind
    amount: Money
    payment_version: int
    called_at_ms: int
    outcome: Outcome | None = None


_SELECT = (
    "SELECT key, order_id, kind, amount, currency, payment_version, called_at_ms, outcome"
    " FROM calls"
)
_encode = msgspec.json.Encoder().encode
_OUTCOME: msgspec.json.Decoder[Outcome] = msgspec.json.Decoder(Outcome)


def begin(tx: Transaction, call: Call, answers: Mapping[str, Outcome]) -> None:
    """Record the intent; and, in the same commit, ``answers`` of earlier calls, by key.

    A repeated call keeps its first row. Raises `KeyConflict` if it is not the same call: another
    amount or card under one key is a bug, found here before the provider sees it.
    """
    answered(tx, answers)
    tx.connection.execute(
        "INSERT INTO calls (key, order_id, kind, amount, currency, payment_version, called_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
        (
            call.key,
            call.order_id,
            call.kind,
            call.amount.amount,
            call.amount.currency,
            call.payment_version,
            call.called_at_ms,
        ),
    )
    kept = _rows(tx.connection, "key = ?", call.key)[0]
    same = (kept.order_id, kept.kind, kept.amount, kept.payment_version)
    asked = (call.order_id, call.kind, call.amount, call.payment_version)
    if same != asked:
        raise KeyConflict(f"{call.key} was used for {same} and is now asked for {asked}")


def answered(tx: Transaction, answers: Mapping[str, Outcome]) -> None:
    """Record outcomes, by key."""
    for key, outcome in answers.items():
        tx.connection.execute("UPDATE calls SET outcome = ? WHERE key = ?", (_encode(outcome), key))


def forget(tx: Transaction, order_id: str, kinds: Sequence[CallKind]) -> None:
    """Remove an order's calls of these kinds: the stream states their outcome now."""
    for kind in kinds:
        tx.connection.execute("DELETE FROM calls WHERE order_id = ? AND kind = ?", (order_id, kind))


def calls_of(connection: sqlite3.Connection, order_id: str) -> dict[str, Call]:
    """Return an order's calls that are not forgotten, by key."""
    return {call.key: call for call in _rows(connection, "order_id = ?", order_id)}


def open_orders(connection: sqlite3.Connection) -> list[str]:
    """Return the orders with calls that are not forgotten, the longest open first."""
    rows = connection.execute(
        "SELECT order_id FROM calls GROUP BY order_id ORDER BY min(called_at_ms), order_id"
    )
    return [row[0] for row in rows]


def _rows(connection: sqlite3.Connection, where: str, value: str) -> list[Call]:
    rows = connection.execute(f"{_SELECT} WHERE {where}", (value,))
    return [
        Call(
            key,
            order_id,
            kind,
            Money(amount, currency),
            version,
            called_at_ms,
            None if outcome is None else _OUTCOME.decode(outcome),
        )
        for key, order_id, kind, amount, currency, version, called_at_ms, outcome in rows
    ]
