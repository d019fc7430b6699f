"""Stores with many orders in them, made quickly: one real order, copied under other ids.

The order goes through the product's own writer (6 events, vault, order list). Its rows are then
repeated in large transactions; ids of the services' events are random, as derived ids look to an
index. What is measured later runs on the file as the product left it, and as it finds it.
"""

import os
import random
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import anyio

from actors.domain.events import (
    Body,
    PaymentAuthInProgress,
    Shipped,
    ShippingPreparationInProgress,
    ShippingPrepared,
)
from bench.order_store import OrderStore, with_order_store
from bench.shop_orders import CAPTURED, PLACING, intent
from bench.supervised import Ground

FILE = "orders.db"
LIFE: tuple[Body, ...] = (
    PaymentAuthInProgress(1),
    CAPTURED,
    ShippingPreparationInProgress(),
    ShippingPrepared("par_01JD0000000000000000000000", 1),
    Shipped("Depot", "JD000000000000000001"),
)
"""What the services append to an order after it was placed."""
ORDERS_A_COMMIT = 5000
Row = tuple[Any, ...]


def service_of(body: Body) -> str:
    """Return the service that states it."""
    return "payment" if "Payment" in type(body).__name__ else "shipping"


def order_id_of(number: int) -> str:
    """Return the id of the n-th copy."""
    return f"ord_{number:026}"


def grow(folder: Path, orders: int) -> Path:
    """Return a folder whose order store holds so many shipped orders; made if it is not there."""
    made = folder / f"grown-{orders}"
    if not (made / "whole").exists():
        made.mkdir(parents=True, exist_ok=True)
        anyio.run(_one, made)
        if orders > 1:
            _copy(made / FILE, orders)
            to_disk(made / FILE)
        (made / "whole").touch()
    return made


def to_disk(path: Path) -> None:
    """Write a file out: else the first commit of who is measured would have to."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


async def _one(folder: Path) -> None:
    async def live(store: OrderStore) -> None:
        order = (await store.client("gateway").execute(PLACING, intent(0))).order
        for number, body in enumerate(LIFE):
            client = store.client("payment" if service_of(body) == "payment" else "shipping")
            await client.append(order.id, f"evt_{number}", body, correlation_id=f"evt_{number}")

    await with_order_store(Ground(folder), live)


def _copy(path: Path, orders: int) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        tables = {name: _rows(connection, name) for name in ("events", "order_list", "vault")}
        # Nothing is lost that could not be made again; the measured process sets its own pragmas.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("DELETE FROM outbox")
        random_bits = random.Random(1)
        for start in range(1, orders, ORDERS_A_COMMIT):
            connection.execute("BEGIN")
            numbers = range(start, min(start + ORDERS_A_COMMIT, orders))
            for name, rows in tables.items():
                places = ", ".join("?" * len(rows[0]))
                copies = _copies(name, rows, numbers, random_bits)
                connection.executemany(f"INSERT INTO {name} VALUES ({places})", copies)  # noqa: S608
            connection.execute("COMMIT")
        connection.execute("UPDATE order_number SET next = next + ?", (orders,))
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def _rows(connection: sqlite3.Connection, table: str) -> list[Row]:
    order = {"events": "version", "order_list": "number", "vault": "ref"}[table]
    return list(connection.execute(f"SELECT * FROM {table} ORDER BY {order}"))  # noqa: S608


def _copies(
    table: str, rows: list[Row], numbers: range, random_bits: random.Random
) -> Iterator[Row]:
    if table == "events":
        return _events(rows, numbers, random_bits)
    if table == "order_list":
        return ((order_id_of(number), rows[0][1] + number, *rows[0][2:]) for number in numbers)
    # ref, order_id, kind, data, email
    return (
        (f"{row[0][:4]}{number:026}", order_id_of(number), *row[2:])
        for number in numbers
        for row in rows
    )


def _events(rows: list[Row], numbers: range, random_bits: random.Random) -> Iterator[Row]:
    # position, event_id, stream, version, type, schema_version, data, ...
    for number in numbers:
        order_id, tail = order_id_of(number), f"{number:026}".encode()
        for row in rows:
            event_id = f"evt_{random_bits.getrandbits(128):032x}"
            data = row[6]
            if row[3] == 1:
                for ref in (b'"pay_', b'"cus_', b'"adr_'):
                    place = data.index(ref) + 5
                    data = data[:place] + tail + data[place + 26 :]
            yield (None, event_id, order_id, *row[3:6], data, *row[7:])
