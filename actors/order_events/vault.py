"""The vault: the only place of names, e-mails, addresses and payment tokens.

Events hold references into it. A row is written in the transaction of the event that refers to it,
never changed, and emptied (not deleted) when its order is erased, so that a reference always tells
*erased* from *never existed*. The e-mail is a column of its own, in lower case, for the exact match
of the order list: it lives and dies with the row.
"""

import sqlite3
from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from actors.domain.order_events import PaymentDetails, Personal, Service
from actors.domain.values import Address, Customer
from runtime.errors import Rejection

Kind = Literal["customer", "address", "payment"]

SCHEMA = """
CREATE TABLE vault (
    ref TEXT PRIMARY KEY,
    order_id TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('customer', 'address', 'payment')),
    data BLOB,
    email TEXT
) WITHOUT ROWID;
CREATE INDEX vault_order ON vault (order_id);
CREATE INDEX vault_email ON vault (email, order_id) WHERE email IS NOT NULL;
"""

# Who may read what: each service has only what its own work needs.
ENTITLED: dict[Service, tuple[Kind, ...]] = {
    "gateway": ("customer", "address"),
    "payment": ("payment",),
    "shipping": ("address",),
    "notification": ("customer",),
}


def keep_customer(
    connection: sqlite3.Connection, order_id: str, ref: str, customer: Customer
) -> None:
    """Store who ordered."""
    data = msgspec.json.encode(customer)
    _insert(connection, (ref, order_id, "customer", data, email_key(customer.email)))


def keep_address(connection: sqlite3.Connection, order_id: str, ref: str, address: Address) -> None:
    """Store a shipping address."""
    _insert(connection, (ref, order_id, "address", msgspec.json.encode(address), None))


def keep_payment(
    connection: sqlite3.Connection, order_id: str, ref: str, payment: PaymentDetails
) -> None:
    """Store the provider's token of a card; brand and last four are in the event."""
    _insert(connection, (ref, order_id, "payment", payment.token.encode(), None))


def _insert(connection: sqlite3.Connection, row: tuple[str, str, Kind, bytes, str | None]) -> None:
    connection.execute(
        "INSERT INTO vault (ref, order_id, kind, data, email) VALUES (?, ?, ?, ?, ?)", row
    )


def email_key(email: str) -> str:
    """Return what two spellings of one mailbox share, as far as people expect it."""
    return email.lower()


def read(
    connection: sqlite3.Connection, order_id: str, refs: Iterable[str], service: Service
) -> Personal:
    """Return what ``refs`` of this order stand for; Rejection not-found or forbidden."""
    found: dict[str, Any] = {}
    for ref in refs:
        found.update(_entry(connection, order_id, ref, service))
    return Personal(**found)


def _entry(
    connection: sqlite3.Connection, order_id: str, ref: str, service: Service
) -> dict[str, Any]:
    row = connection.execute(
        "SELECT kind, data FROM vault WHERE ref = ? AND order_id = ?", (ref, order_id)
    ).fetchone()
    if row is None:
        raise Rejection("not-found", "The order has no such reference.", status_hint=404)
    kind, data = row
    if kind not in ENTITLED[service]:
        message = f"The {service} service may not read this kind of personal data."
        raise Rejection("forbidden", message, status_hint=403)
    if data is None:
        return {}
    if kind == "customer":
        return {"customer": msgspec.json.decode(data, type=Customer)}
    if kind == "address":
        return {"address": msgspec.json.decode(data, type=Address)}
    return {"payment_token": data.decode()}


def erase(connection: sqlite3.Connection, order_id: str) -> None:
    """Empty every row of the order. The bytes leave the disk with the next full checkpoint."""
    connection.execute("UPDATE vault SET data = NULL, email = NULL WHERE order_id = ?", (order_id,))
