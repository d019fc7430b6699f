"""At rest, somebody looks at the past: orders as they were, version by version.

That must change nothing anywhere (the judges compare what the ledgers held before and after). Where
the broker is dead nobody is at rest: what is held goes on when its time has come.
"""

from collections.abc import Container

from sim.client import Client, NoAnswer
from sim.judges.evidence import rows, tables
from sim.judges.observed import Reading
from sim.verdict import ledgers_of
from sim.world import OPERATOR, SimulatedWorld

ORDERS_MAX = 2
NEEDED = {"gateway", "order-events", "broker"}


async def read_the_past(world: SimulatedWorld, dead: Container[str]) -> None:
    """Read the orders with the longest histories as of each of their versions."""
    if any(name in dead for name in NEEDED):
        return
    streams = rows(
        ledgers_of(world).order_events / "orders.db",
        "SELECT stream, max(version) FROM events GROUP BY stream ORDER BY 2 DESC, 1",
    )
    before = _sizes(world)
    client = world.shop.client()
    versions = {
        order_id: [(at, await _version_at(client, order_id, at)) for at in range(1, last + 1)]
        for order_id, last in streams[:ORDERS_MAX]
    }
    client.close()
    world.witness.readings.append(Reading(before, _sizes(world), versions))


async def _version_at(client: Client, order_id: str, at: int) -> int:
    """Return the version that the shop tells of an order as of a version; 0 for no answer."""
    headers = {"Authorization": f"Bearer {OPERATOR}"}
    try:
        answer = await client.request("GET", f"/v1/orders/{order_id}?at={at}", headers=headers)
    except NoAnswer:
        return 0
    return int(answer.json()["version"]) if answer.status == 200 else 0


def _sizes(world: SimulatedWorld) -> dict[str, int]:
    """Return how many rows each ledger has, and how many messages were ever published."""
    ledgers = ledgers_of(world)
    counted = {
        ledgers.order_events / "orders.db": ("events", "outbox", "idempotency"),
        ledgers.provider / "sandbox-provider.db": ("operations",),
        ledgers.carrier / "carrier.db": ("parcels",),
        ledgers.of("payment"): ("inbox",),
        ledgers.of("shipping"): ("inbox",),
        ledgers.of("notification"): ("inbox", "mails"),
    }
    sizes: dict[str, int] = {}
    for path, names in counted.items():
        if path.exists():
            counts = tables(path, *(f"SELECT count(*) FROM {name}" for name in names))  # noqa: S608
            for name, [(count,)] in zip(names, counts, strict=True):
                sizes[f"{path.stem}.{name}"] = count
    sizes["mails"] = len(list((ledgers.mailer / "mail").glob("*/[!.]*")))
    sizes["published"] = len(world.witness.broker.published)
    return sizes
