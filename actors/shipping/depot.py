"""The built-in carrier: a party of its own, with a database of its own.

It survives our crashes, so what it did can be compared with what our log says it did. No network:
faults are put around the port. What it reports by itself is the `Courier`'s business.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import anyio

from actors.domain.values import Address, Line
from actors.shipping import depot_books
from actors.shipping.carrier import Parcel
from actors.shipping.depot_books import Packing, ParcelEntry, Report
from runtime.database import Database, open_database
from runtime.errors import StoreUnavailable
from runtime.host import Clock, Host

FILE = "carrier.db"
CARRIER = "Millrace Parcels"
MIGRATIONS = (depot_books.SCHEMA,)


class Depot:
    """A `Carrier` over the database ``database`` (see `open_depot`).

    ``packed`` is set, and replaced, whenever there is a new parcel.
    """

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.packed = anyio.Event()

    async def prepare(
        self, key: str, order_id: str, address: Address, items: tuple[Line, ...]
    ) -> Parcel:
        """Pack; see `Carrier`. One that is cut off before its commit has left nothing behind."""
        packing, now_ms = Packing(key, order_id, address, items), self._now_ms()
        parcel_id = await self._database.write(
            lambda tx: depot_books.pack(tx, packing, now_ms, self._announce)
        )
        return Parcel(parcel_id)

    async def lookup(self, key: str) -> Parcel | None:
        """Find; see `Carrier`."""
        found = await self._database.read(lambda books: depot_books.parcel_of(books, key))
        return None if found is None else Parcel(found)

    async def erase(self, order_id: str) -> None:
        """Forget; see `Carrier`. The bytes have left the disk when this returns."""
        await self._database.write(lambda tx: depot_books.forget_address(tx, order_id))
        if not await self._database.checkpoint():
            raise StoreUnavailable("the carrier's books are being read; ask again")

    async def ledger(self) -> list[ParcelEntry]:
        """Return everything that was ever packed, oldest first."""
        return await self._database.read(depot_books.ledger)

    async def unreported(self, delay_ms: int, limit: int) -> list[ParcelEntry]:
        """Return parcels packed ``delay_ms`` ago or longer whose report is due, oldest first."""
        now_ms = self._now_ms()
        return await self._database.read(
            lambda books: depot_books.unreported(books, now_ms, delay_ms, limit)
        )

    async def next_due_s(self, delay_ms: int) -> float | None:
        """Return in how many seconds the next report is due, or None where all are made."""
        due_ms = await self._database.read(lambda books: depot_books.next_due_ms(books, delay_ms))
        return None if due_ms is None else (due_ms - self._now_ms()) / 1000

    async def note(self, reports: Sequence[Report]) -> None:
        """Note how these reports ended, in one transaction."""
        await self._database.write(lambda tx: depot_books.note(tx, reports))

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)

    def _announce(self) -> None:
        self.packed.set()
        self.packed = anyio.Event()


@asynccontextmanager
async def open_depot(host: Host) -> AsyncIterator[Depot]:
    """Open the carrier's own database in the host's folder, and the carrier over it."""
    async with open_database(host.disk, FILE, MIGRATIONS) as database:
        yield Depot(database, host.clock)
