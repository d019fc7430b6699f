"""A shop with a shipping service and the built-in carrier, for tests of the shipping service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from actors.shipping.assembly import FILE, MIGRATIONS
from actors.shipping.depot import Depot, open_depot
from actors.shipping.service import ShippingService
from runtime.database import open_database
from tests.harness.crashes import Runs, Tripwire
from tests.harness.shop import Shop, open_shop


@dataclass
class Parties:
    """Everybody who takes part."""

    shop: Shop
    depot: Depot
    runs: Runs

    def service(self, wire: Tripwire | None = None) -> ShippingService:
        """Return a new incarnation of the service, its ports watched by ``wire``."""
        wire = wire or Tripwire()
        return ShippingService(wire.watch(self.shop.shipping), wire.watch(self.depot))


@asynccontextmanager
async def parties_in(folder: Path) -> AsyncIterator[Parties]:
    """Open all of them in ``folder``."""
    async with (
        open_shop(folder) as shop,
        open_depot(shop.host) as depot,
        open_database(shop.host.disk, FILE, MIGRATIONS) as database,
    ):
        yield Parties(shop, depot, Runs(database, shop.host))
