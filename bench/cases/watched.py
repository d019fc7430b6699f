"""``watched``: placing orders while 200 customers follow theirs, and while nobody does.

Both contenders have placed the same 200 orders before; ``watched`` also holds an event stream open
on each of them. Then both are sent other orders, and only the gateway's process counts. The third
contender is a customer who reloads the page of an order.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial

import anyio
import msgspec

from bench.case import Case, Contender, Round
from bench.http_client import Client
from bench.load import closed, drive
from bench.meter import Meter
from bench.processes import running
from bench.sample import Sample
from bench.systems import ORDER

CONNECTIONS = 32
WATCHERS = 200


class Placed(msgspec.Struct, frozen=True):
    """An order and what its customer shows to see it."""

    id: str
    access_token: str


Work = Callable[[Round, str, int], Awaitable[Sample]]


def _measure(work: Work, task: Round) -> Sample:
    command = (sys.executable, "-m", "bench.gateway", "--folder", str(task.folder))
    with running(task.contender, command, task.folder) as server:
        url = server.wait_for("ready").split()[-1]
        return anyio.run(work, task, url, server.pid)


async def _place(task: Round, url: str, pid: int, *, watched: bool) -> Sample:
    async with AsyncExitStack() as stack:
        client = Client.of(url)
        stack.push_async_callback(client.close)
        orders = [await _placed(client) for _ in range(WATCHERS)]
        if watched:
            await _watch(stack, url, orders)
        meter, refused = Meter([pid]), 0

        async def post(_number: int) -> None:
            nonlocal refused
            refused += (await client.post("/v1/orders", ORDER)).status != 201

        with meter.running():
            latencies = await drive(task.load or closed(CONNECTIONS), task.operations, post)
        return meter.sample(task.operations, latencies, errors=refused)


async def _reload(task: Round, url: str, pid: int) -> Sample:
    client = Client.of(url)
    order = await _placed(client)
    cookie = (await client.get(f"/o/{order.id}.{order.access_token}")).cookie
    meter, refused = Meter([pid]), 0

    async def get(_number: int) -> None:
        nonlocal refused
        refused += (await client.get(f"/orders/{order.id}", cookie)).status != 200

    with meter.running():
        latencies = await drive(closed(1), task.operations, get)
    await client.close()
    return meter.sample(task.operations, latencies, errors=refused)


async def _placed(client: Client) -> Placed:
    return msgspec.json.decode((await client.post("/v1/orders", ORDER)).body, type=Placed)


async def _watch(stack: AsyncExitStack, url: str, orders: Sequence[Placed]) -> None:
    """Open a stream on each order; each has begun when this returns, and is left open."""
    host, port = _place_of(url)
    for order in orders:
        reader, writer = await asyncio.open_connection(host, port)
        stack.callback(writer.close)
        line = f"GET /v1/orders/{order.id}/events/stream HTTP/1.1"
        shown = f"Authorization: Bearer {order.access_token}\r\n"
        writer.write(f"{line}\r\nHost: {host}\r\n{shown}\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head[:200]
        await reader.readuntil(b"order-created")


def _place_of(url: str) -> tuple[str, int]:
    host, _, port = url.removeprefix("http://").rstrip("/").partition(":")
    return host, int(port)


CASE = Case(
    name="watched",
    title="POST /v1/orders beside event streams",
    operation="request",
    operations=5_000,
    contenders=(
        Contender(
            name="unwatched",
            role="ours",
            how="nobody follows an order",
            guarantees="durable (FULL), checked, guarded",
            run=partial(_measure, partial(_place, watched=False)),
        ),
        Contender(
            name="watched",
            role="ours",
            how=f"{WATCHERS} customers follow an order each",
            guarantees="durable (FULL), checked, guarded",
            run=partial(_measure, partial(_place, watched=True)),
        ),
        Contender(
            name="order-page",
            role="ours",
            how="one customer reloads the page of an order",
            guarantees="read from the store each time",
            run=partial(_measure, _reload),
            share=0.1,
        ),
    ),
)
