"""Which orders are to be forgotten, and how far that has come: one row a step, in the order store.

Personal data is with three parties: the mailer (mails), the carrier (addresses) and this store
(idempotency records, vault), and is taken from them in this order. Whoever asks for it (the
operator's command) goes from service to service; these rows let it go on where a kill has cut it
off, and every step may be repeated. The store comes last, so an order whose data is still in the
vault is one whose erasure is not finished.
"""

import sqlite3
from collections.abc import Mapping

import msgspec

from actors.order_events.erasure import require_settled
from runtime.errors import Rejection
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE erasures (
    order_id TEXT NOT NULL,
    step TEXT NOT NULL CHECK (step IN ('mailer', 'carrier', 'store')),
    begun_at_ms INTEGER NOT NULL,
    done_at_ms INTEGER,
    PRIMARY KEY (order_id, step)
) STRICT, WITHOUT ROWID;
CREATE INDEX erasures_left ON erasures (order_id) WHERE done_at_ms IS NULL;
"""

STEPS = ("mailer", "carrier", "store")


class Erasure(msgspec.Struct, frozen=True):
    """How far the erasure of an order has come, in the order of `STEPS`."""

    order_id: str
    done: list[str]
    left: list[str]


def begin(tx: Transaction, order_id: str, at_ms: int) -> Erasure:
    """Remember that the order is to be forgotten; Rejection not-found or not-settled.

    One that was finished begins anew: whatever came back since then is taken away again.
    """
    require_settled(tx.connection, order_id)
    if not find(tx.connection, order_id).left:
        tx.connection.executemany(
            "INSERT OR REPLACE INTO erasures (order_id, step, begun_at_ms) VALUES (?, ?, ?)",
            [(order_id, step, at_ms) for step in STEPS],
        )
    return find(tx.connection, order_id)


def finish(tx: Transaction, order_id: str, step: str, at_ms: int) -> Erasure:
    """Note that a step is done; Rejection out-of-order where one before it is not."""
    require_turn(tx.connection, order_id, step)
    tx.connection.execute(
        "UPDATE erasures SET done_at_ms = ? WHERE order_id = ? AND step = ?",
        (at_ms, order_id, step),
    )
    return find(tx.connection, order_id)


def require_turn(connection: sqlite3.Connection, order_id: str, step: str) -> None:
    """Raise Rejection out-of-order unless this is the next step of the order's erasure."""
    left = find(connection, order_id).left
    if not left or left[0] != step:
        message = f"The step {step} is not the next one: {', '.join(left) or 'none is left'}."
        raise Rejection("out-of-order", message, details={"left": left})


def find(connection: sqlite3.Connection, order_id: str) -> Erasure:
    """Return how far the order's erasure is; nothing done and nothing left where there is none."""
    rows: Mapping[str, int | None] = dict(
        connection.execute(
            "SELECT step, done_at_ms FROM erasures WHERE order_id = ?", (order_id,)
        ).fetchall()
    )
    return Erasure(
        order_id,
        [step for step in STEPS if rows.get(step) is not None],
        [step for step in STEPS if step in rows and rows[step] is None],
    )


def unfinished(connection: sqlite3.Connection) -> list[Erasure]:
    """Return the erasures that were begun and are not finished."""
    rows = connection.execute(
        "SELECT DISTINCT order_id FROM erasures WHERE done_at_ms IS NULL ORDER BY order_id"
    ).fetchall()
    return [find(connection, order_id) for (order_id,) in rows]
