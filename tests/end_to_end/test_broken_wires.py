"""The wire to the broker broken in every way that TCP knows, and a broker that is not there."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread

from tests.harness.apart import BROKER, Apart, ApartSystem
from tests.harness.embedded import EmbeddedServer
from tests.harness.outage import (
    all_ready,
    assert_prepared_once,
    census,
    checks_say,
    cpu_s,
    links,
    ordering,
    seen,
)
from tests.harness.proxy import Proxy, proxy_to
from tests.harness.waiting import eventually

ALL = "all"
HEARTBEAT_S = 2
NOTICED_S = 3 * (HEARTBEAT_S + 1) + HEARTBEAT_S + 5.0
BACK_S = 8.0  # a pause, and perhaps an attempt that began while nobody answered
BACK_WHEN_IT_LISTENS_S = 4.0
SETTINGS = (
    *("payment.hold_s=0", "shipping.hold_s=0", "retry.tiers_s=1", "api.rate_per_min=0"),
    *("log.format=json", f"broker.heartbeat_s={HEARTBEAT_S}", "broker.confirm_timeout_s=2"),
)


BREAKS: dict[str, Callable[[Proxy], None]] = {
    "nothing passes": Proxy.freeze,
    "no answer passes": Proxy.withhold,
    "no request passes": Proxy.hold,
}


@asynccontextmanager
async def wired(url: str, folder: Path) -> AsyncIterator[tuple[ApartSystem, Proxy]]:
    """All services in one process, at the far end of a wire that can be broken."""
    async with proxy_to(url) as proxy:
        apart = Apart(folder, proxy.url(url), *SETTINGS)
        try:
            await anyio.to_thread.run_sync(apart.start, ALL)
            async with seen(apart) as system:
                yield system, proxy
        finally:
            apart.close()


async def test_a_wire_that_is_half_open_is_noticed_and_made_again(tmp_path: Path) -> None:
    async def outage(name: str, url: str, folder: Path) -> None:
        async with wired(url, folder) as (system, proxy):
            await assert_prepared_once(system, [await system.place()])
            before = await census(system)
            BREAKS[name](proxy)
            began = anyio.current_time()
            async with ordering(system) as customers:
                await checks_say(system, "order-events", "broker", "stalled|reconnecting")

                async def all_noticed() -> bool:
                    return "connected" not in (await links(system)).values()

                await eventually(all_noticed, began + NOTICED_S - anyio.current_time())
            proxy.thaw()
            assert await all_ready(system, "order-events", within_s=BACK_S) < BACK_S
            await assert_prepared_once(system, customers.orders)
            assert customers.slowest_s < 5
            assert await census(system) == before

    with EmbeddedServer(vhosts=[f"v{number}" for number in range(len(BREAKS))]) as server:
        async with anyio.create_task_group() as outages:
            for number, name in enumerate(BREAKS):
                folder = tmp_path / f"v{number}"
                folder.mkdir()
                outages.start_soon(outage, name, f"{server.url}v{number}", folder, name=name)


async def test_a_wire_that_is_cut_all_the_time_loses_and_doubles_nothing(tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        async with wired(server.url, tmp_path) as (system, proxy):
            before = await census(system)
            async with ordering(system, every_s=0.1) as customers:
                for _ in range(25):
                    proxy.cut()
                    await anyio.sleep(0.2)
            assert await all_ready(system, "order-events", within_s=BACK_S) < BACK_S
            await assert_prepared_once(system, customers.orders)
            assert len(customers.orders) >= 10
            assert await census(system) == before
            assert "actor.crashed" not in system.apart.process(ALL).output


async def test_a_broker_that_is_down_is_used_soon_after_its_port_opens(tmp_path: Path) -> None:
    apart = Apart(tmp_path, "embedded", *SETTINGS)  # here: ordermill broker, another process
    try:
        await anyio.to_thread.run_sync(apart.start, BROKER, ALL)
        async with seen(apart) as system:
            await assert_prepared_once(system, [await system.place()])
            before, pid = await census(system), apart.process(ALL).pid
            apart.kill(BROKER)
            await checks_say(system, "order-events", "broker", "reconnecting")
            began, used_s = anyio.current_time(), cpu_s(pid)
            async with ordering(system, every_s=2.0) as customers:
                await anyio.sleep(8)  # so that the pauses between attempts have grown
            busy = (cpu_s(pid) - used_s) / (anyio.current_time() - began)
            await anyio.to_thread.run_sync(apart.start, BROKER)
            limit_s = BACK_WHEN_IT_LISTENS_S
            assert await all_ready(system, "order-events", within_s=limit_s) < limit_s
            await assert_prepared_once(system, customers.orders)
            assert busy < 0.05
            assert await census(system) == before
    finally:
        apart.close()
