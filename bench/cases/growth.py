"""``growth``: what an order costs when the store holds few orders, and when it holds many.

An order is placed, gets its five other events (64 at a time), and its three messages leave through
the relay, to a broker that confirms at once. Then orders of the store are read, at random.
"""

import random
import time
from collections.abc import Sequence
from functools import partial

import anyio

from actors.order_events.parts import OrderEventsParts
from actors.order_events.schema import MIGRATIONS
from bench.case import Case, Contender, Round
from bench.grown import FILE, LIFE, grow, order_id_of, service_of
from bench.load import closed, drive
from bench.meter import Meter
from bench.sample import Sample
from bench.shop_orders import PLACING, intent
from bench.supervised import Ground
from runtime.database import open_database
from runtime.message import Message
from runtime.publishing import Outgoing

READS = 2_000
CALLERS = 64


class AtOnce:
    """A publisher whose broker has every message at once."""

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """Confirm."""

    async def publish_batch(self, batch: Sequence[Outgoing]) -> list[Exception | None]:
        """Confirm all."""
        return [None] * len(batch)


def measure(task: Round, orders: int) -> Sample:
    """Measure on a store of so many orders; the rounds of a case share it."""
    return anyio.run(_measure, task, orders)


async def _measure(task: Round, orders: int) -> Sample:
    folder = await anyio.to_thread.run_sync(grow, task.kept, orders)
    ground, meter = Ground(folder), Meter()
    async with open_database(ground.host.disk, FILE, MIGRATIONS) as database:
        parts = OrderEventsParts(database, AtOnce(), ground.host, ground.telemetry)

        async def work() -> tuple[list[float], float]:
            with meter.running():
                latencies = await drive(closed(CALLERS), task.operations, partial(_live, parts))
                while parts.relay.statistics().pending:
                    await anyio.sleep(0.002)
            return latencies, await _read(parts, orders)

        latencies, read_us = await ground.supervise(parts.children(), work)
    size_mib = (folder / FILE).stat().st_size / 2**20
    return meter.sample(task.operations, latencies, read_cpu_us=read_us, store_mib=size_mib)


async def _live(parts: OrderEventsParts, number: int) -> None:
    order = (await parts.client("gateway").execute(PLACING, intent(number))).order
    for version, body in enumerate(LIFE):
        client = parts.client("payment" if service_of(body) == "payment" else "shipping")
        event_id = f"evt_{order.id}_{version}"
        await client.append(order.id, event_id, body, correlation_id="evt_1")


async def _read(parts: OrderEventsParts, orders: int) -> float:
    client, chosen = parts.client("gateway"), random.Random(1)
    began = time.process_time()
    for _ in range(READS):
        number = chosen.randrange(1, orders)
        assert (await client.order(order_id_of(number))).version == len(LIFE) + 1
    return 1e6 * (time.process_time() - began) / READS


def _contender(name: str, orders: int, *, long: bool = False) -> Contender:
    return Contender(
        name=name,
        role="ours",
        how=f"a store of {orders:,} orders ({6 * orders:,} events)",
        guarantees="durable (FULL), guarded, with outbox, vault and list rows",
        run=partial(measure, orders=orders),
        long=long,
    )


CASE = Case(
    name="growth",
    title="an order's life in the store: placed, 5 events appended, 3 messages relayed",
    operation="order",
    operations=600,
    contenders=(
        _contender("orders-10k", 10_000),
        _contender("orders-100k", 100_000),
        _contender("orders-1m", 1_000_000, long=True),
    ),
)
