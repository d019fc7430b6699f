"""The vault: the only place of names, e-mails, addresses and payment tokens.

Events hold references into it. A row is written in the transaction of the event that refers to it,
never changed, and emptied (not deleted) when its order is erased, so that a reference always tells
*erased* from *never existed*. The e-mail is a column of its own, in lower case, for the exact match
of the order list: it lives and dies with the row.
"""

import sqlite3
from collections.abc import Iterable, Sequence

import msgspec

from actors.domain.order_events import Personal, PersonalKind, Service
from actors.domain.values import Address, Customer
from runtime.errors import Rejection
from runtime.staged import Statement
from runtime.transaction import Transaction

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
ENTITLED: dict[Service, tuple[PersonalKind, ...]] = {
    "gateway": ("customer", "address"),
    "payment": ("payment",),
    "shipping": ("address",),
    "notification": ("customer",),
}


_KEEP = Statement(
    "vault", "INSERT INTO vault (ref, order_id, kind, data, email) VALUES (?, ?, ?, ?, ?)"
)


def keep(tx: Transaction, order_id: str, ref: str, kind: PersonalKind, personal: Personal) -> None:
    """Store what ``ref`` stands for: who ordered, an address, or the provider's token of a card.

    Of a card, brand and last four are in the event.
    """
    if personal.customer is not None:
        data, email = msgspec.json.encode(personal.customer), email_key(personal.customer.email)
        tx.write(_KEEP, (ref, order_id, kind, data, email))
    elif personal.address is not None:
        tx.write(_KEEP, (ref, order_id, kind, msgspec.json.encode(personal.address), None))
    elif personal.payment_token is not None:
        tx.write(_KEEP, (ref, order_id, kind, personal.payment_token.encode(), None))


def email_key(email: str) -> str:
    """Return what two spellings of one mailbox share, as far as people expect it."""
    return email.lower()


def together(parts: Sequence[Personal]) -> Personal:
    """Return in one what several references of an order stand for."""
    return Personal(
        customer=next((part.customer for part in parts if part.customer), None),
        address=next((part.address for part in parts if part.address), None),
        payment_token=next((part.payment_token for part in parts if part.payment_token), None),
    )


def read(
    connection: sqlite3.Connection, order_id: str, refs: Iterable[str], service: Service
) -> Personal:
    """Return what ``refs`` of this order stand for; Rejection not-found or forbidden."""
    return together([_entry(connection, order_id, ref, service) for ref in refs])


def _entry(connection: sqlite3.Connection, order_id: str, ref: str, service: Service) -> Personal:
    row = connection.execute(
        "SELECT kind, data FROM vault WHERE ref = ? AND order_id = ?", (ref, order_id)
    ).fetchone()
    if row is None:
        raise Rejection("not-found", "The order has no such reference.", status_hint=404)
    kind, data = row
    require_entitled(service, kind)
    if data is None:
        return Personal()
    if kind == "customer":
        return Personal(customer=msgspec.json.decode(data, type=Customer))
    if kind == "address":
        return Personal(address=msgspec.json.decode(data, type=Address))
    return Personal(payment_token=data.decode())


def require_entitled(service: Service, kind: PersonalKind) -> None:
    """Raise Rejection(forbidden) where the service has no need of this kind of personal data."""
    if kind not in ENTITLED[service]:
        message = f"The {service} service may not read this kind of personal data."
        raise Rejection("forbidden", message, status_hint=403)


def erase(connection: sqlite3.Connection, order_id: str) -> None:
    """Empty every row of the order. The bytes leave the disk with the next full checkpoint."""
    connection.execute("UPDATE vault SET data = NULL, email = NULL WHERE order_id = ?", (order_id,))
