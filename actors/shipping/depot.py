"""The built-in carrier: a party of its own, with a database of its own.

It survives our crashes, so what it did can be compared with what our log says it did. No network:
faults are put around the port. What it reports by itself is the `Courier`'s business.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from actors.domain.values import Address, Line
from actors.shipping import depot_books
from actors.shipping.carrier import Parcel
from actors.shipping.depot_books import Agenda, Packing, ParcelEntry, Report
from runtime.database import Database, open_database
from runtime.errors import StoreUnavailable
from runtime.host import Clock, Host

FILE = "carrier.db"
CARRIER = "Millrace Parcels"
MIGRATIONS = (depot_books.SCHEMA,)


class Depot:
    """A `Carrier` over the database ``database`` (see `open_depot`)."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def prepare(
        self, key: str, order_id: str, address: Address, items: tuple[Line, ...]
    ) -> Parcel:
        """Pack; see `Carrier`. One that is cut off before its commit has left nothing behind."""
        packing, now_ms = Packing(key, order_id, address, items), self._now_ms()
        parcel_id = await self._database.write(lambda tx: depot_books.pack(tx, packing, now_ms))
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

    async def agenda(self, delay_ms: int, limit: int) -> Agenda:
        """Return what is to be reported, each parcel ``delay_ms`` after it was packed."""
        now_ms = self._now_ms()
        return await self._database.read(
            lambda books: depot_books.agenda(books, now_ms, delay_ms, limit)
        )

    async def note(self, reports: Sequence[Report]) -> None:
        """Note how these reports ended, in one transaction."""
        await self._database.write(lambda tx: depot_books.note(tx, reports))

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


@asynccontextmanager
async def open_depot(host: Host) -> AsyncIterator[Depot]:
    """Open the carrier's own database in the host's folder, and the carrier over it."""
    async with open_database(host.disk, FILE, MIGRATIONS) as database:
        yield Depot(database, host.clock)
