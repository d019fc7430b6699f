"""Told to stop while customers, streams and attackers are connected: it answers, and it ends."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx

from tests.attacks.corpus import request
from tests.attacks.target import Target, target
from tests.harness.raw_http import HOST
from tests.harness.system import order_body
from tests.harness.waiting import until

CUSTOMERS = 8
ENOUGH = 60
# It has 3 s for requests in work; the rest is patience with a busy machine.
STOP_S_MAX = 20.0


class Buyers:
    """Place one order after the other, each under a key of its own, until nobody answers."""

    def __init__(self, attacked: Target) -> None:
        self._attacked = attacked
        self.placed: dict[str, str | None] = {}  # by key; None where no answer came, or 503
        self.statuses: set[int] = set()
        self.tokens: dict[str, str] = {}

    async def one(self, number: int) -> None:
        transport = httpx.AsyncHTTPTransport(local_address=f"127.0.2.{number}")
        async with httpx.AsyncClient(
            base_url=self._attacked.url, transport=transport, timeout=30.0
        ) as client:
            while True:
                key = f"{number}-{len(self.placed)}"
                self.placed[key] = None
                try:
                    answer = await place(client, key)
                except httpx.ConnectError:
                    return
                except httpx.TransportError:
                    continue
                self.statuses.add(answer.status_code)
                if answer.status_code == 201:
                    self.placed[key] = answer.json()["id"]
                    self.tokens[key] = answer.json()["access_token"]


async def place(client: httpx.AsyncClient, key: str) -> httpx.Response:
    return await client.post("/v1/orders", json=order_body(), headers={"Idempotency-Key": key})


async def test_a_stop_under_load_loses_no_answer_and_nobody_can_hold_it_up(tmp_path: Path) -> None:
    with target(tmp_path, "api.rate_per_min=0") as attacked:
        await attacked.ready()
        buyers = Buyers(attacked)
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
            for number in range(1, CUSTOMERS + 1):
                tasks.create_task(buyers.one(number))
            await until(lambda: len(buyers.tokens) >= ENOUGH, 60.0)
            streams = [await _stream(attacked, buyers, stack) for _ in range(20)]
            await _attackers(attacked, stack)
            began = asyncio.get_running_loop().time()
            assert await attacked.stop() == 0
            assert asyncio.get_running_loop().time() - began < STOP_S_MAX
            for stream in streams:
                assert b"event: bye" in await stream.read()
        assert attacked.complaints() == []
    assert buyers.statuses <= {201, 503}
    with target(tmp_path, "api.rate_per_min=0") as again:
        await again.ready()
        async with httpx.AsyncClient(base_url=again.url, timeout=30.0) as client:
            for key, known in buyers.placed.items():
                answer = await place(client, key)
                assert answer.status_code == 201, answer.text
                assert known in (None, answer.json()["id"])


async def _stream(attacked: Target, buyers: Buyers, stack: AsyncExitStack) -> asyncio.StreamReader:
    """Follow an order that nothing more happens to for now."""
    key = next(iter(buyers.tokens))
    path = f"/v1/orders/{buyers.placed[key]}/events/stream".encode()
    reader, writer = await _connect(attacked, stack)
    writer.write(request(b"GET", path, buyers.tokens[key]))
    assert b" 200 " in await reader.readuntil(b"retry: 1000")
    return reader


async def _attackers(attacked: Target, stack: AsyncExitStack) -> None:
    head = b"POST /v1/orders HTTP/1.1\r\nContent-Type: application/json\r\n" + HOST
    slow_reader = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
    for data in (b"", b"GET / HT", head + b"Content-Length: 9\r\n\r\n{", slow_reader * 300):
        for _ in range(5):
            _, writer = await _connect(attacked, stack)
            writer.write(data)


def _abort(writer: asyncio.StreamWriter) -> None:
    """Hold the writer until then: one that is collected closes its connection."""
    writer.transport.abort()


async def _connect(
    attacked: Target, stack: AsyncExitStack
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", attacked.ports["gateway"])
    stack.callback(_abort, writer)
    return reader, writer
