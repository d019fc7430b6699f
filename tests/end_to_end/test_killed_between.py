"""The gateway, or order-events, killed between the commit and the reply: asking again tells all."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import anyio
import httpx
import msgspec
import pytest

from actors.domain.events import PaymentAuthInProgress
from actors.domain.order_events import OrderQuery
from actors.service_client import ServiceClient
from bench.ports import free_port
from tests.harness.apart import Apart, ApartSystem
from tests.harness.proxy import Proxy, proxy_to
from tests.harness.system import order_body
from tests.harness.waiting import eventually

Killed = Literal["gateway", "order-events"]


class Scene:
    """A gateway that reaches order-events through a proxy, and no broker at all."""

    def __init__(self, system: ApartSystem, proxy: Proxy) -> None:
        self.system = system
        self.proxy = proxy
        self.lost: list[httpx.Response | httpx.TransportError] = []

    async def place(self, key: str) -> httpx.Response:
        """Place an order with a client of its own, as somebody who has just come back."""
        url = self.system.apart.url("gateway")
        async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=60) as client:
            return await client.post(
                "/v1/orders", json=order_body(), headers={"Idempotency-Key": key}
            )

    async def place_and_see(self, key: str) -> None:
        """Place an order and keep what came of it."""
        try:
            self.lost.append(await self.place(key))
        except httpx.TransportError as error:
            self.lost.append(error)

    async def ids(self) -> list[str]:
        """Return the ids of all orders, past the proxy."""
        orders = self.system.as_service("gateway")
        return [row.id for row in await orders.orders(OrderQuery())]

    async def kill(self, name: Killed) -> None:
        """Kill one while the answer of the other is held back, and start it again."""
        self.system.apart.kill(name)
        self.proxy.refuse()
        self.proxy.cut()
        self.proxy.thaw()
        await self.system.start(name)
        self.proxy.refuse(False)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    nobody = f"amqp://guest:guest@127.0.0.1:{free_port()}/"
    apart = Apart(tmp_path, nobody, "api.rate_per_min=0")
    try:
        await anyio.to_thread.run_sync(apart.start, "order-events")
        async with proxy_to(apart.url("order-events")) as proxy:
            apart.own["gateway"] = [f"order_events.url=http://127.0.0.1:{proxy.port}"]
            await anyio.to_thread.run_sync(apart.start, "gateway")
            async with _store(apart) as (client, store):
                yield Scene(ApartSystem(apart, client, store), proxy)
    finally:
        apart.close()


@asynccontextmanager
async def _store(apart: Apart) -> AsyncIterator[tuple[httpx.AsyncClient, ServiceClient]]:
    url = apart.url("order-events")
    # A connection for each request: the process behind it is going to be another one.
    limits = httpx.Limits(max_keepalive_connections=0)
    transport = httpx.AsyncHTTPTransport(trust_env=False, limits=limits)
    async with httpx.AsyncClient(base_url=url, transport=transport) as client:
        yield client, ServiceClient(url, transport)


@pytest.mark.parametrize("killed", ["gateway", "order-events"])
async def test_the_same_key_then_gets_the_same_status_body_and_token(
    scene: Scene, killed: Killed
) -> None:
    async def committed() -> list[str]:
        return await scene.ids()

    async with anyio.create_task_group() as tasks:
        scene.proxy.withhold()
        tasks.start_soon(scene.place_and_see, "key-1")
        (order_id,) = await eventually(committed)
        assert scene.lost == []
        await scene.kill(killed)
    (lost,) = scene.lost
    if killed == "gateway":
        assert isinstance(lost, httpx.TransportError)
    else:
        assert isinstance(lost, httpx.Response)
        assert (lost.status_code, "Retry-After" in lost.headers) == (503, True)

    first = await _answered(scene, "key-1")
    # The order goes on meanwhile: the key gets what was answered then, not what is now.
    payment = scene.system.as_service("payment")
    await payment.append(order_id, "evt_1", PaymentAuthInProgress(1), correlation_id="msg_1")
    second = await _answered(scene, "key-1")
    assert first.status_code == second.status_code == 201
    assert first.json() == second.json()
    assert (first.json()["id"], first.json()["version"]) == (order_id, 1)
    for answer in (first, second):
        assert answer.headers["Idempotent-Replayed"] == "true"
        assert answer.headers["Location"] == f"/v1/orders/{order_id}"
        assert answer.headers["ETag"] == '"1"'
    assert await scene.ids() == [order_id]
    token = {"authorization": f"Bearer {first.json()['access_token']}"}
    url = f"{scene.system.apart.url('gateway')}/v1/orders/{order_id}"
    shown = await scene.system.client.get(url, headers=token)
    assert (shown.status_code, shown.json()["version"]) == (200, 2)
    other = await _answered(scene, "key-2")
    assert msgspec.json.decode(other.content)["id"] != order_id


async def _answered(scene: Scene, key: str) -> httpx.Response:
    """Ask, as a client does, until the answer is not that nobody can answer now."""

    async def ask() -> httpx.Response | None:
        answer = await scene.place(key)
        return None if answer.status_code == 503 else answer

    return await eventually(ask)
