"""Erasing what this service knows of the person behind an order; the log keeps its references.

Only a settled order can be erased: one that may still have to be shipped or refunded needs its
data. Erasing again does nothing new, so a caller that was killed in between repeats it.
"""

import sqlite3
from functools import partial

from actors.order_events import idempotency, vault
from actors.order_events.latest import Latest
from actors.order_events.stream import order_at
from runtime.database import Database
from runtime.errors import Rejection, StoreUnavailable
from runtime.transaction import Transaction


async def erase(database: Database, latest: Latest, order_id: str) -> None:
    """Empty the order's vault rows and take their bytes off the disk, and out of ``latest``.

    Rejection ``not-found`` or ``not-settled``; `StoreUnavailable` while a reader, or a full disk,
    keeps the old bytes in the write-ahead log: the data is gone for every reader, so repeat it.
    """
    await database.write(partial(_erase, latest, order_id))
    if not await database.checkpoint():
        raise StoreUnavailable("the write-ahead log is being read: the old bytes are still in it")


def _erase(latest: Latest, order_id: str, tx: Transaction) -> None:
    tx.on_commit(partial(latest.forget, order_id))
    require_settled(tx.connection, order_id)
    idempotency.erase(tx.connection, order_id)
    vault.erase(tx.connection, order_id)


def require_settled(connection: sqlite3.Connection, order_id: str) -> None:
    """Raise Rejection not-found or not-settled unless nothing can happen to the order any more."""
    if not order_at(connection, order_id).settled:
        message = "The order may still need this data: it is neither shipped nor called off."
        raise Rejection("not-settled", message, details={"order_id": order_id})
