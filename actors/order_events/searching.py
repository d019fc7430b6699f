"""Orders as operators look for them: by whatever text they have in hand, with an honest count.

A correlation id is looked for in the whole log, without an index: that takes longer the longer the
log is, and nobody pays for it with each append.
"""

import sqlite3

import msgspec

from actors.domain.operating import Figures, OrderFound, OrdersFound
from actors.order_events.order_list import COLUMNS
from actors.order_events.vault import email_key

LIMIT_MAX = 100
LATE_S = 300
MEASURED_MAX = 200
NUMBER_DIGITS_MAX = 15

_LAST_EVENT = "SELECT type FROM events WHERE stream = order_id AND version = order_list.version"
# A shop's person or a carrier is waited for in any other state, or nobody is.
_WAITING = "(status IN ('placed', 'payment_pending', 'paid', 'preparing') OR refund_due)"


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """``text``: an order's id or number, an e-mail address, an event's or a correlation id.

    ``since_ms``: only those that were placed then or later. ``idle_s``: only those that have waited
    that long for a service of ours. ``before``: a number to page on from.
    """

    text: str = ""
    status: str | None = None
    since_ms: int | None = None
    idle_s: int | None = None
    before: int | None = None
    limit: int = LIMIT_MAX


def search(connection: sqlite3.Connection, wanted: Search, now_ms: int) -> OrdersFound:
    """Return the orders that match everything given, newest first, and how many there are."""
    clauses, values = _matching(wanted, now_ms)
    where = " AND ".join(clauses) or "TRUE"
    (total,) = connection.execute(
        f"SELECT count(*) FROM order_list WHERE {where}",  # noqa: S608 - of constants
        values,
    ).fetchone()
    rows = connection.execute(
        f"SELECT {COLUMNS}, ({_LAST_EVENT}) FROM order_list"  # noqa: S608 - of constants
        f" WHERE {where} AND number < ? ORDER BY number DESC LIMIT ?",
        (*values, wanted.before or 2**62, max(1, min(wanted.limit, LIMIT_MAX))),
    )
    return OrdersFound([OrderFound(*row) for row in rows], total)


def _matching(wanted: Search, now_ms: int) -> tuple[list[str], list[str | int]]:
    clauses: list[str] = []
    values: list[str | int] = []
    if wanted.text:
        clause, given = _named(wanted.text)
        clauses.append(clause)
        values += given
    if wanted.status is not None:
        clauses.append("status = ?")
        values.append(wanted.status)
    if wanted.since_ms is not None:
        clauses.append("created_at_ms >= ?")
        values.append(wanted.since_ms)
    if wanted.idle_s is not None:
        clauses += [_WAITING, "updated_at_ms <= ?"]
        values.append(now_ms - wanted.idle_s * 1000)
    return clauses, values


def _named(text: str) -> tuple[str, list[str | int]]:
    """Return which orders a text names; it says by its looks what it is."""
    if text.isascii() and text.isdecimal() and len(text) <= NUMBER_DIGITS_MAX:
        return "number = ?", [int(text)]
    if "@" in text:
        return "order_id IN (SELECT order_id FROM vault WHERE email = ?)", [email_key(text)]
    if text.startswith("ord_"):
        return "order_id = ?", [text]
    found = "SELECT stream FROM events WHERE event_id = ? OR correlation_id = ?"
    return f"order_id IN ({found} OR stream_correlation = ?)", [text] * 3


def figures(connection: sqlite3.Connection, now_ms: int) -> Figures:
    """Return how the orders stand."""
    by_status = connection.execute(
        "SELECT status, count(*) FROM order_list GROUP BY status ORDER BY status"
    ).fetchall()
    (late,) = connection.execute(
        f"SELECT count(*) FROM order_list WHERE {_WAITING}"  # noqa: S608 - a constant
        " AND updated_at_ms <= ?",
        (now_ms - LATE_S * 1000,),
    ).fetchone()
    # Orders of the last minute have the highest numbers: nothing else is looked at.
    (placed,) = connection.execute(
        "SELECT count(*) FROM (SELECT created_at_ms FROM order_list ORDER BY number DESC"
        " LIMIT 100000) WHERE created_at_ms > ?",
        (now_ms - 60_000,),
    ).fetchone()
    took_ms = sorted(
        took
        for (took,) in connection.execute(
            "SELECT updated_at_ms - created_at_ms FROM order_list WHERE status = 'shipped'"
            " ORDER BY number DESC LIMIT ?",
            (MEASURED_MAX,),
        )
    )
    return Figures(
        total=sum(count for _, count in by_status),
        placed_last_minute=placed,
        late=late,
        late_s=LATE_S,
        by_status=dict(by_status),
        measured=len(took_ms),
        p50_ms=_quantile(took_ms, 50),
        p99_ms=_quantile(took_ms, 99),
    )


def _quantile(ascending: list[int], percent: int) -> int | None:
    """Return the smallest value that this share of them does not exceed (nearest rank)."""
    return ascending[-(-len(ascending) * percent // 100) - 1] if ascending else None
