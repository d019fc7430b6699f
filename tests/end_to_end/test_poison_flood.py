"""Ten thousand messages that nobody can process, and among them as many good ones, each ten times.

Undecodable bodies, wrong schemas, unknown types and versions, properties that break the client
library, bodies that are too large: all of it on a real RabbitMQ, into a running shop.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import anyio
import anyio.to_thread
import pytest

from tests.harness.apart import Apart, ApartSystem
from tests.harness.flood import Parked, flooding
from tests.harness.outage import CONSUMERS, assert_prepared_once, census, seen
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.system import LiveOrder
from tests.harness.waiting import until

ALL = "all"
ORDERS = 340  # of two events, which go to three queues, ten times each
CLIENTS = 12
WITHIN_S = 180.0
SETTINGS = (
    *("payment.hold_s=0", "shipping.hold_s=0", "retry.tiers_s=1", "api.rate_per_min=0"),
    "log.format=json",
)


@pytest.fixture
def url(rabbitmq: RabbitMQ) -> str:
    return f"{rabbitmq.url}{rabbitmq.vhost()}"


@pytest.fixture
def apart(url: str, tmp_path: Path) -> Iterator[Apart]:
    processes = Apart(tmp_path, url, *SETTINGS)
    try:
        processes.start(ALL)
        yield processes
    finally:
        processes.close()


async def listen(apart: Apart) -> None:
    """Take what the process prints: a line for each message that it parks."""
    while True:
        await anyio.to_thread.run_sync(apart.process(ALL).said)
        await anyio.sleep(0.1)


async def place(system: ApartSystem, orders: list[LiveOrder]) -> None:
    while len(orders) < ORDERS:
        orders.append(await system.place())


@pytest.mark.rabbitmq
async def test_every_poison_is_parked_with_its_reason_and_every_good_one_has_its_effect_once(
    apart: Apart, url: str
) -> None:
    orders: list[LiveOrder] = []
    found: Counter[Parked] = Counter()
    async with seen(apart) as system, flooding(url) as flood, anyio.create_task_group() as tasks:
        before = await census(system)
        tasks.start_soon(listen, apart)
        async with anyio.create_task_group() as clients:
            for _ in range(CLIENTS):
                clients.start_soon(place, system, orders)
        for queue in CONSUMERS:
            await flood.too_large(queue)
        await until(lambda: flood.good == 30 * len(orders), WITHIN_S)
        await flood.parked(found)
        await until(lambda: found.total() >= flood.expected.total(), WITHIN_S)
        await assert_prepared_once(system, orders)
        assert found == flood.expected
        assert flood.good >= 10_000
        assert flood.bad >= 10_000
        assert {parked.queue for parked in found} == set(CONSUMERS)
        assert await census(system) == before
        said = apart.process(ALL).said()
        # Not one connection was lost over it, nor a consumer.
        for trouble in ("broker.lost", "consumer.ended", "actor.crashed", "message.retry"):
            assert trouble not in said
        tasks.cancel_scope.cancel()
