"""The broker away: what was stored is published later, and every effect happens once.

The specification: "If the Order Event Service successfully writes to the event store but fails to
publish the event, then secondary backup mechanisms can be put into place to reattempt to publish at
a later time."
"""

from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

from tests.harness.books import assert_prepared_once, dead_letters
from tests.harness.embedded import EmbeddedServer
from tests.harness.foreign import Foreigner
from tests.harness.proxy import Proxy, proxy_to
from tests.harness.rabbitmq import RabbitMQ
from tests.harness.system import LiveSystem, live_system
from tests.harness.waiting import until


@pytest.fixture(params=["ours", "rabbitmq"])
async def proxied(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Proxy, str]]:
    """A broker of either kind behind a wire that can be cut; its address through the wire."""
    if request.param == "ours":
        with EmbeddedServer() as server:
            async with proxy_to(server.url) as proxy:
                yield proxy, proxy.url(server.url)
    else:
        node: RabbitMQ = request.getfixturevalue("rabbitmq")
        url = f"amqp://{node.user}:{node.password}@{node.host}:{node.port}/{node.vhost()}"
        async with proxy_to(url) as proxy:
            yield proxy, proxy.url(url)


async def test_stored_but_not_published_it_is_published_when_the_broker_is_back(
    tmp_path: Path, proxied: tuple[Proxy, str]
) -> None:
    proxy, url = proxied
    async with live_system(tmp_path, url, broker={"confirm_timeout_s": 1.0}) as system:
        proxy.refuse()
        proxy.cut()
        await until(lambda: system.running.system.ready()["broker"] != "ok")
        orders = [await system.place() for _ in range(3)]
        await until(lambda: pending(system) == 3)
        assert [await order.types() for order in orders] == [["order-created"]] * 3
        proxy.refuse(False)
        for order in orders:
            await assert_prepared_once(system, order.id)
        assert pending(system) == 0
        assert await dead_letters(Foreigner(url)) == {}


async def test_cut_while_publishing_again_and_again_every_effect_happens_once(
    tmp_path: Path, proxied: tuple[Proxy, str]
) -> None:
    proxy, url = proxied
    async with live_system(tmp_path, url) as system:
        orders = []
        for _ in range(6):
            orders.append(await system.place())
            proxy.cut()
        for order in orders:
            await assert_prepared_once(system, order.id)
        assert await dead_letters(Foreigner(url)) == {}


async def test_stored_but_not_published_and_then_stopped_the_next_process_publishes_it(
    tmp_path: Path, proxied: tuple[Proxy, str]
) -> None:
    proxy, url = proxied
    async with live_system(tmp_path, url) as system:
        proxy.refuse()
        proxy.cut()
        await until(lambda: system.running.system.ready()["broker"] != "ok")
        order = await system.place()
    proxy.refuse(False)
    async with live_system(tmp_path, url) as system:
        await assert_prepared_once(system, order.id)
        assert await dead_letters(Foreigner(url)) == {}


@pytest.mark.rabbitmq
async def test_rabbitmq_killed_and_started_again_orders_go_on(
    tmp_path: Path, rabbitmq: RabbitMQ
) -> None:
    account = f"{rabbitmq.user}:{rabbitmq.password}"
    url = f"amqp://{account}@{rabbitmq.host}:{rabbitmq.port}/{rabbitmq.vhost()}"
    async with live_system(tmp_path, url, broker={"confirm_timeout_s": 1.0}) as system:
        # RabbitMQ writes the names of its queues down now and then only (dets, auto_save); one that
        # was declared within the last moments before a kill does not confirm for a minute.
        rabbitmq.control("eval", "[ok = dets:sync(Table) || Table <- dets:all()].")
        before = await system.place()
        rabbitmq.kill()
        meanwhile = await system.place()
        await until(lambda: pending(system) >= 1)
        await anyio.to_thread.run_sync(rabbitmq.start)
        for order in (before, meanwhile):
            await assert_prepared_once(system, order.id)
        assert await dead_letters(Foreigner(url)) == {}


def pending(system: LiveSystem) -> int:
    return system.running.system.order_events.relay.statistics().pending
