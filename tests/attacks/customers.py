"""Honest customers, who notice whether they are served while others attack."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from tests.attacks.target import Target
from tests.harness.system import OTHER_ADDRESS, order_body

COUNT = 4
PAUSE_S = 0.1


class Customers:
    """What they got: ``served`` requests, ``failures`` in words, the longest wait.

    Each has an address of its own. Where a connection that was kept open is gone, the request is
    sent once more, as RFC 9112, 9.3.1, and a key allow; ``repeated`` counts that.
    """

    def __init__(self) -> None:
        self.served = 0
        self.repeated = 0
        self.failures: list[str] = []
        self.seconds: list[float] = []
        self.orders = 0

    @property
    def slowest_s(self) -> float:
        """The longest wait for an answer."""
        return max(self.seconds, default=0.0)

    async def one(self, client: httpx.AsyncClient) -> None:
        """Place an order, look at it, change it, follow it, call it off; and again."""
        while True:
            placed = await self._ask(client, 201, "POST", "/v1/orders", order_body())
            if placed is None:
                continue
            self.orders += 1
            order = placed["links"]["self"]
            auth = {"Authorization": f"Bearer {placed['access_token']}"}
            await self._ask(client, 200, "GET", "/v1/products", None)
            await self._ask(client, 200, "GET", order, None, auth)
            await self._follow(client, f"{order}/events/stream", auth)
            # Preparation may have begun in the meantime: then a refusal is the right answer.
            await self._ask(
                client, (200, 409), "PUT", f"{order}/shipping-address", OTHER_ADDRESS, auth
            )
            await self._ask(client, 200, "GET", f"{order}/events", None, auth)
            await self._ask(client, (200, 409), "POST", f"{order}/cancellation", {}, auth)

    async def _ask(
        self,
        client: httpx.AsyncClient,
        expected: int | tuple[int, ...],
        method: str,
        path: str,
        body: object,
        headers: dict[str, str] | None = None,
    ) -> Any:
        await asyncio.sleep(PAUSE_S)
        sent = {**(headers or {}), "Idempotency-Key": uuid.uuid4().hex}
        began = asyncio.get_running_loop().time()
        try:
            answer = await client.request(method, path, json=body, headers=sent)
        except httpx.TransportError:
            self.repeated += 1
            try:
                answer = await client.request(method, path, json=body, headers=sent)
            except httpx.TransportError as error:
                self.failures.append(f"{method} {path}: {error!r}")
                return None
        self.seconds.append(asyncio.get_running_loop().time() - began)
        if answer.status_code not in (expected if isinstance(expected, tuple) else (expected,)):
            self.failures.append(f"{method} {path}: {answer.status_code} {answer.text}")
            return None
        self.served += 1
        return answer.json()

    async def _follow(self, client: httpx.AsyncClient, path: str, auth: dict[str, str]) -> None:
        """Open the event stream, and leave once the first event is there."""
        try:
            async with client.stream("GET", path, headers=auth) as answer:
                if answer.status_code == 429:
                    return  # others hold all the streams there are: it said so
                if answer.status_code != 200:
                    self.failures.append(f"GET {path}: {answer.status_code}")
                    return
                async for line in answer.aiter_lines():
                    if line.startswith("data:"):
                        self.served += 1
                        return
        except httpx.TransportError as error:
            self.failures.append(f"GET {path}: {error!r}")


@asynccontextmanager
async def customers(target: Target) -> AsyncIterator[Customers]:
    """Have some of them at work until the block ends."""
    seen = Customers()
    clients = [
        httpx.AsyncClient(
            base_url=target.url,
            timeout=30.0,
            transport=httpx.AsyncHTTPTransport(local_address=f"127.0.2.{number}"),
        )
        for number in range(1, COUNT + 1)
    ]
    tasks = [asyncio.create_task(seen.one(client)) for client in clients]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
        for client in clients:
            await client.aclose()
    broken = [end for end in ended if not isinstance(end, asyncio.CancelledError)]
    assert broken == []
