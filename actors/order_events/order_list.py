"""The order list: one row for each order, written in the transaction of every append.

It serves lists and sweepers only. No guard reads it (they fold the stream), it holds no personal
data (an e-mail is matched in the vault), and `rebuild` makes it again from the events.
"""

import sqlite3

from actors.domain.order import Order, fold_all, status
from actors.domain.order_events import OrderQuery, OrderSummary
from actors.order_events.stream import events_of
from actors.order_events.vault import email_key
from runtime.staged import Statement
from runtime.transaction import Transaction

LIMIT_MAX = 100

SCHEMA = """
CREATE TABLE order_list (
    order_id TEXT PRIMARY KEY,
    number INTEGER NOT NULL UNIQUE,
    status TEXT NOT NULL,
    version INTEGER NOT NULL,
    total_amount INTEGER NOT NULL,
    currency TEXT NOT NULL,
    created_at_ms INTEGER NOT NULL,
    updated_at_ms INTEGER NOT NULL,
    refund_due INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX order_list_status ON order_list (status, number);
CREATE INDEX order_list_refund_due ON order_list (number) WHERE refund_due;
"""

COLUMNS = "order_id, number, status, version, total_amount, currency, created_at_ms, updated_at_ms"


def row_of(order: Order) -> tuple[str | int, ...]:
    """Return the order's row as of its version, in the order of the table's columns."""
    return (
        order.id,
        order.number,
        status(order),
        order.version,
        order.total.amount,
        order.total.currency,
        order.created_at_ms,
        order.updated_at_ms,
        int(order.refund_due),
    )


_PUT = Statement(
    "order_list",
    f"INSERT INTO order_list ({COLUMNS}, refund_due)"  # noqa: S608 - a constant
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (order_id) DO UPDATE SET status = excluded.status, version = excluded.version,"
    " updated_at_ms = excluded.updated_at_ms, refund_due = excluded.refund_due",
)


def put(tx: Transaction, order: Order) -> None:
    """Write the order's row as of its version: what changes in an order's life, if it is there."""
    tx.write(_PUT, row_of(order))


def find(connection: sqlite3.Connection, query: OrderQuery) -> list[OrderSummary]:
    """Return the rows that match every given filter, highest number first."""
    filters = {
        "status = ?": query.status,
        "created_at_ms >= ?": query.since_ms,
        "number < ?": query.before,
        "order_id IN (SELECT order_id FROM vault WHERE email = ?)": (
            None if query.email is None else email_key(query.email)
        ),
    }
    given = {clause: value for clause, value in filters.items() if value is not None}
    where = " AND ".join(given) or "TRUE"
    rows = connection.execute(
        f"SELECT {COLUMNS} FROM order_list WHERE {where}"  # noqa: S608 - of constants
        " ORDER BY number DESC LIMIT ?",
        (*given.values(), max(1, min(query.limit, LIMIT_MAX))),
    )
    return [OrderSummary(*row) for row in rows]


def stored_row(connection: sqlite3.Connection, order_id: str) -> tuple[str | int, ...] | None:
    """Return the row of the table as `row_of` would make it, if there is one."""
    row: tuple[str | int, ...] | None = connection.execute(
        f"SELECT {COLUMNS}, refund_due FROM order_list WHERE order_id = ?",  # noqa: S608
        (order_id,),
    ).fetchone()
    return row


def refunds_due(connection: sqlite3.Connection) -> list[str]:
    """Return the ids of orders whose refund obligation is open, oldest first."""
    rows = connection.execute("SELECT order_id FROM order_list WHERE refund_due ORDER BY number")
    return [order_id for (order_id,) in rows]


def rebuild(connection: sqlite3.Connection) -> None:
    """Make the whole list again from the events, inside one transaction."""
    connection.execute("DELETE FROM order_list")
    streams = connection.execute("SELECT DISTINCT stream FROM events").fetchall()
    for (order_id,) in streams:
        order = fold_all(events_of(connection, order_id))
        assert order is not None, "a stream has events"
        connection.execute(_PUT.sql, row_of(order))
