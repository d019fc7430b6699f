"""The built-in carrier's books: SQL that runs in one transaction of its own database.

One row a parcel, never deleted: the oracle against which the order system's log is checked. A
parcel is known by the key it was made with, for ever; its address can be erased. Whether it was
reported as shipped is the carrier's own knowledge, and so is noted here too.
"""

import sqlite3
from collections.abc import Sequence

import msgspec

from actors.domain.values import Address, Line
from runtime.errors import Unprocessable
from runtime.host import Ids
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE parcels (
    sequence INTEGER PRIMARY KEY,
    parcel_id TEXT NOT NULL UNIQUE,
    key TEXT NOT NULL UNIQUE,
    order_id TEXT NOT NULL,
    address BLOB,
    items BLOB NOT NULL,
    prepared_at_ms INTEGER NOT NULL,
    report TEXT,
    retry_at_ms INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX parcels_order ON parcels (order_id);
CREATE INDEX parcels_unreported ON parcels (prepared_at_ms) WHERE report IS NULL;
CREATE TRIGGER parcels_stay BEFORE DELETE ON parcels
BEGIN SELECT raise(ABORT, 'a parcel does not vanish'); END;
"""
_COLUMNS = (
    "sequence, parcel_id, key, order_id, address, items, prepared_at_ms, report, retry_at_ms,"
    " attempts"
)


class ParcelEntry(msgspec.Struct, frozen=True):
    """One row of the books.

    ``address`` is None once erased. ``report`` says how the carrier's own report of the shipment
    ended: ``shipped``, the code of a refusal, or None while it is still to be made, next at
    ``retry_at_ms`` (Unix time) and after ``attempts`` so far.
    """

    sequence: int
    parcel_id: str
    key: str
    order_id: str
    address: Address | None
    items: tuple[Line, ...]
    prepared_at_ms: int
    report: str | None
    retry_at_ms: int
    attempts: int

    @property
    def tracking(self) -> str:
        """The parcel's tracking number: 18 characters, always the same ones."""
        return Ids.derived("MP", self.parcel_id).replace("_", "")[:18]


class Packing(msgspec.Struct, frozen=True):
    """What is asked for: one parcel for this key, with these contents."""

    key: str
    order_id: str
    address: Address
    items: tuple[Line, ...]


class Report(msgspec.Struct, frozen=True):
    """How one report of a shipment ended; None: nobody took it, it is due again at a Unix time."""

    parcel_id: str
    ended: str | None
    retry_at_ms: int = 0


class Agenda(msgspec.Struct, frozen=True):
    """The reports that are due, oldest parcel first, and when (Unix time) another one will be."""

    due: list[ParcelEntry]
    next_ms: int | None


_encode = msgspec.json.Encoder(order="deterministic").encode
_ADDRESS = msgspec.json.Decoder(Address)
_ITEMS = msgspec.json.Decoder(tuple[Line, ...])


def pack(tx: Transaction, packing: Packing, now_ms: int) -> str:
    """Return the id of the key's parcel, made now if it is new.

    `Unprocessable` (carrier-key-conflict) where the key's parcel has other contents.
    """
    contents = (packing.order_id, _encode(packing.address), _encode(packing.items))
    found = tx.connection.execute(
        "SELECT parcel_id, order_id, coalesce(address, ?), items FROM parcels WHERE key = ?",
        (contents[1], packing.key),
    ).fetchone()
    if found is not None:
        parcel_id, *packed = found
        if tuple(packed) != contents:
            raise Unprocessable("carrier-key-conflict", f"{packing.key} is another parcel's key")
        return str(parcel_id)
    parcel_id = Ids.derived("par", packing.key)
    tx.connection.execute(
        "INSERT INTO parcels (parcel_id, key, order_id, address, items, prepared_at_ms)"
        " VALUES (?, ?, ?, ?, ?, ?)",
        (parcel_id, packing.key, *contents, now_ms),
    )
    return parcel_id


def forget_address(tx: Transaction, order_id: str) -> None:
    """Erase the addresses of the order's parcels."""
    tx.connection.execute("UPDATE parcels SET address = NULL WHERE order_id = ?", (order_id,))


def note(tx: Transaction, reports: Sequence[Report]) -> None:
    """Note how these reports ended."""
    for report in reports:
        tx.connection.execute(
            "UPDATE parcels SET report = ?, retry_at_ms = ?, attempts = attempts + 1"
            " WHERE parcel_id = ?",
            (report.ended, report.retry_at_ms, report.parcel_id),
        )


def ledger(connection: sqlite3.Connection) -> list[ParcelEntry]:
    """Return everything that was ever packed, oldest first."""
    rows = connection.execute(f"SELECT {_COLUMNS} FROM parcels ORDER BY sequence")  # noqa: S608
    return [_entry(*row) for row in rows]


def parcel_of(connection: sqlite3.Connection, key: str) -> str | None:
    """Return the id of the key's parcel, if there is one."""
    row = connection.execute("SELECT parcel_id FROM parcels WHERE key = ?", (key,)).fetchone()
    return None if row is None else str(row[0])


def agenda(connection: sqlite3.Connection, now_ms: int, delay_ms: int, limit: int) -> Agenda:
    """Return which parcels, packed ``delay_ms`` ago or longer, are to be reported now."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM parcels WHERE report IS NULL"  # noqa: S608
        " AND prepared_at_ms <= ? AND retry_at_ms <= ? ORDER BY prepared_at_ms, sequence LIMIT ?",
        (now_ms - delay_ms, now_ms, limit),
    )
    due = [_entry(*row) for row in rows]
    (next_ms,) = connection.execute(
        "SELECT min(max(prepared_at_ms + ?, retry_at_ms)) FROM parcels WHERE report IS NULL"
        " AND (prepared_at_ms > ? OR retry_at_ms > ?)",
        (delay_ms, now_ms - delay_ms, now_ms),
    ).fetchone()
    return Agenda(due, next_ms)


def _entry(
    sequence: int, parcel_id: str, key: str, order_id: str, address: bytes | None, items: bytes,
    prepared_at_ms: int, report: str | None, retry_at_ms: int, attempts: int,
) -> ParcelEntry:  # fmt: skip
    return ParcelEntry(
        sequence,
        parcel_id,
        key,
        order_id,
        None if address is None else _ADDRESS.decode(address),
        _ITEMS.decode(items),
        prepared_at_ms,
        report,
        retry_at_ms,
        attempts,
    )
