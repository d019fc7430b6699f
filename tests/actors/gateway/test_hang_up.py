"""Clients that hang up while their command is being committed: it is carried out all the same."""

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
import msgspec
import pytest

from actors.domain.order_events import OrderQuery
from runtime.http import HttpServer
from runtime.transaction import Transaction
from tests.harness.gateway import ORDER, World
from tests.harness.raw_http import HOST
from tests.harness.running import running
from tests.harness.waiting import until

KEY = {"Idempotency-Key": "hung-up"}


@asynccontextmanager
async def busy_writer(world: World) -> AsyncIterator[None]:
    """Keep the store's one writer inside a transaction until the block ends."""
    begun, go_on = threading.Event(), threading.Event()

    def work(_: Transaction) -> None:
        begun.set()
        assert go_on.wait(20)

    async with anyio.create_task_group() as group:
        group.start_soon(world.parts.database.write, work)
        await until(begun.is_set)
        try:
            yield
        finally:
            go_on.set()


async def hang_up(server: HttpServer, world: World, request: bytes) -> None:
    """Send a command, and close the connection once order-events has it."""
    before = handed_over(world)
    async with await anyio.connect_tcp("127.0.0.1", server.port) as stream:
        await stream.send(request)
        await until(lambda: handed_over(world) > before)
    await until(lambda: server.connections == 0)


def handed_over(world: World) -> int:
    mailbox = world.parts.ref.mailbox.statistics()
    return mailbox.received + mailbox.depth


def raw(method: str, path: str, body: object, headers: dict[str, str]) -> bytes:
    data = msgspec.json.encode(body)
    fields = {**headers, "Content-Type": "application/json", "Content-Length": str(len(data))}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"{method} {path} HTTP/1.1\r\n".encode() + HOST + lines.encode() + b"\r\n" + data


@pytest.fixture
async def server(world: World) -> AsyncIterator[HttpServer]:
    server = HttpServer(world.app, "127.0.0.1", 0, stop_streams=world.streams.stop)
    async with running(server.run):
        yield server


async def test_an_order_whose_customer_hangs_up_is_placed_once_and_found_by_its_key(
    world: World, server: HttpServer
) -> None:
    async with busy_writer(world):
        for _ in range(3):
            await hang_up(server, world, raw("POST", "/v1/orders", ORDER, KEY))
    again = await world.call("POST", "/v1/orders", ORDER, KEY)
    assert (again.status, again.headers["Idempotent-Replayed"]) == (201, "true")
    orders = await world.parts.client("gateway").orders(OrderQuery())
    assert [row.id for row in orders] == [again.json["id"]]
    assert world.log == []


async def test_a_cancellation_whose_customer_hangs_up_is_carried_out_once(
    world: World, server: HttpServer
) -> None:
    placed = await world.place()
    headers = {**placed.auth, **KEY}
    path = f"{placed.path}/cancellation"
    async with busy_writer(world):
        await hang_up(server, world, raw("POST", path, {}, headers))
    again = await world.call("POST", path, {}, headers)
    assert (again.status, again.json["status"]) == (200, "cancelled")
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.json["version"] == 2
    assert world.log == []
