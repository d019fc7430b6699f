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

from actors.topology import SUBSCRIPTIONS
from tests.harness.apart import Apart, ApartSystem
from tests.harness.books import PREPARED, Books
from tests.harness.plain_client import plain_client, plain_service_client
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


async def assert_prepared_once(
    system: ApartSystem, orders: Iterable[LiveOrder], within_s: float = 60.0
) -> None:
    """Each order came to its end, and nobody was even asked twice."""
    orders = list(orders)
    for order in orders:
        await order.wait_for("shipping-prepared", within_s)
    await eventually(lambda: _settled(system.apart), within_s)
    types = _by_order(system.apart, "orders.db", "SELECT stream, type FROM events ORDER BY version")
    books = books_on_disk(system)
    once = Books(ONCE, ONCE, 1, ["We received your order N"])
    for order in orders:
        assert types[order.id] == PREPARED
        assert books[order.id] == once


def books_on_disk(system: ApartSystem) -> dict[str, Books]:
    """Read the books of every party, by order."""
    provider, moved = "sandbox-provider.db", "SELECT order_id, kind FROM operations"
    moves = _by_order(system.apart, provider, f"{moved} ORDER BY sequence")
    asked = (
        "SELECT DISTINCT order_id, r.kind, r.sequence FROM requests r JOIN operations USING (key)"
    )
    requests = _by_order(system.apart, provider, f"{asked} ORDER BY r.sequence")
    parcels = _by_order(system.apart, "carrier.db", "SELECT order_id, parcel_id FROM parcels")
    mails: dict[str, list[str]] = {}
    for mail in system.mails():
        subject = re.sub(r"[0-9]+", "N", str(mail["Subject"]))
        mails.setdefault(str(mail["X-Ordermill-Order"]), []).append(subject)
    return {
        order: Books(
            moves.get(order, []),
            requests.get(order, []),
            len(parcels.get(order, [])),
            sorted(mails.get(order, [])),
        )
        for order in {*moves, *parcels, *mails}
    }


def _by_order(apart: Apart, file: str, query: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for order_id, what, *_ in rows(apart, file, query):
        found.setdefault(str(order_id), []).append(str(what))
    return found


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
        plain_client(apart.url("gateway"), timeout=60) as gateway,
        plain_service_client(apart.url("order-events")) as store,
    ):
        yield ApartSystem(apart, gateway, store)
