"""What an outage must not change: customers are served, nobody is missing, everything happens once.

All of it is read from outside: HTTP answers, files of other processes, ``/proc``.
"""

import os
import re
import sqlite3
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import anyio
import httpx

from actors.topology import SUBSCRIPTIONS
from tests.harness.apart import Apart, ApartSystem
from tests.harness.books import PREPARED, Books
from tests.harness.system import Json, LiveOrder
from tests.harness.waiting import eventually

CONSUMERS = tuple(SUBSCRIPTIONS)
Census = dict[str, str]
ONCE = ["authorise", "capture"]


async def census(system: ApartSystem, *names: str) -> Census:
    """Return every actor of the processes that run these services: its path, and its state."""
    found: Census = {}
    for name in names or ("order-events",):
        found |= dict(_nodes((await _status(system, name))["supervision"], name))
    return found


async def links(system: ApartSystem, name: str = "order-events") -> dict[str, str]:
    """Return how each connection to the broker is, of the process that runs this service."""
    found = (await _status(system, name))["broker"]
    return {link["role"]: link["state"] for link in found}


async def _status(system: ApartSystem, name: str) -> Json:
    headers = {"authorization": f"Bearer {system.apart.token('gateway')}"}
    url = f"{system.apart.url(name)}/internal/v1/status"
    answer = await system.client.get(url, headers=headers)
    assert answer.status_code == 200, answer.text
    status: Json = answer.json()["status"]
    return status


def _nodes(node: Json, above: str) -> Iterable[tuple[str, str]]:
    path = f"{above}/{node['name']}"
    yield path, node["state"]
    for child in node["children"]:
        yield from _nodes(child, path)


class Customers:
    """Somebody orders all along. ``orders`` were accepted; ``slowest_s`` is the longest wait."""

    def __init__(self) -> None:
        self.orders: list[LiveOrder] = []
        self.slowest_s = 0.0


@asynccontextmanager
async def ordering(system: ApartSystem, every_s: float = 0.5) -> AsyncIterator[Customers]:
    """Place an order now and then until the block ends: a refusal fails the test."""
    customers = Customers()

    async def keep_ordering() -> None:
        while True:
            began = anyio.current_time()
            customers.orders.append(await system.place())
            waited_s = anyio.current_time() - began
            customers.slowest_s = max(customers.slowest_s, waited_s)
            await anyio.sleep(every_s)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(keep_ordering)
        yield customers
        tasks.cancel_scope.cancel()


async def checks_say(
    system: ApartSystem, name: str, check: str, words: str, within_s: float = 30.0
) -> str:
    """Return what this readiness check says once these words (a pattern) are in it."""

    async def said() -> str | None:
        status, checks = await system.checks(name)
        text = checks[check]
        assert (status == 200) == all(text == "ok" for text in checks.values())
        return text if re.search(words, text) else None

    return await eventually(said, within_s)


async def all_ready(system: ApartSystem, *names: str, within_s: float) -> float:
    """Return after how many seconds each of the services says that it is ready."""
    began = anyio.current_time()
    for name in names:

        async def ready(name: str = name) -> bool:
            return (await system.checks(name))[0] == 200

        await eventually(ready, within_s - (anyio.current_time() - began))
    return anyio.current_time() - began


def cpu_s(pid: int) -> float:
    """Return the CPU time that a process has used so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def assert_prepared_once(system: ApartSystem, orders: Iterable[LiveOrder]) -> None:
    """Each order came to its end, and nobody was even asked twice."""
    orders = list(orders)
    for order in orders:
        await order.wait_for("shipping-prepared", within_s=60)
    await eventually(lambda: _settled(system.apart), within_s=60)
    for order in orders:
        assert await order.types() == PREPARED
        assert await books_on_disk(system, order) == Books(
            ONCE, ONCE, 1, ["We received your order N"]
        )


async def books_on_disk(system: ApartSystem, order: LiveOrder) -> Books:
    """Read the books of every party about one order."""
    number = str((await order.show())["number"])
    apart = system.apart
    by_order = "SELECT kind FROM operations WHERE order_id = ? ORDER BY sequence"
    moves = [str(kind) for (kind,) in rows(apart, "sandbox-provider.db", by_order, order.id)]
    asked = (
        "SELECT kind FROM requests WHERE key IN"
        " (SELECT key FROM operations WHERE order_id = ?) ORDER BY sequence"
    )
    requests = [str(kind) for (kind,) in rows(apart, "sandbox-provider.db", asked, order.id)]
    parcels = rows(apart, "carrier.db", "SELECT 1 FROM parcels WHERE order_id = ?", order.id)
    numbered = re.compile(rf"\b{number}\b")
    subjects = [str(mail["Subject"]) for mail in system.mails()]
    mails = sorted(numbered.sub("N", text) for text in subjects if numbered.search(text))
    return Books(moves, requests, len(parcels), mails)


def rows(apart: Apart, file: str, query: str, *parameters: str) -> list[tuple[object, ...]]:
    """Read another process's books."""
    with closing(sqlite3.connect(f"file:{apart.data_dir / file}?mode=ro", uri=True)) as reader:
        return reader.execute(query, parameters).fetchall()


async def _settled(apart: Apart) -> bool:
    """Whether every published event is done with, by every service that it is meant for."""
    if rows(apart, "orders.db", "SELECT 1 FROM outbox"):
        return False
    events = rows(apart, "orders.db", "SELECT event_id, type FROM events")
    for queue, types in SUBSCRIPTIONS.items():
        done = rows(apart, f"{queue}.db", "SELECT message_id FROM inbox WHERE state = 'done'")
        wanted = {event_id for event_id, kind in events if kind in types}
        if wanted - {message_id for (message_id,) in done}:
            return False
    return True


@asynccontextmanager
async def seen(apart: Apart) -> AsyncIterator[ApartSystem]:
    """Look at running processes as customers and operators do."""
    async with (
        httpx.AsyncClient(base_url=apart.url("gateway"), trust_env=False, timeout=60) as gateway,
        httpx.AsyncClient(base_url=apart.url("order-events"), trust_env=False) as store,
    ):
        yield ApartSystem(apart, gateway, store)
