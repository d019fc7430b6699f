"""``e2e``: orders placed over HTTP, until the customer has the mail that says *shipped*.

Every contender is the whole shop in processes of its own, on the same RabbitMQ. The load comes from
this process; when an order is done is seen from outside (`bench.mailbox_watch`). Only the shop's
CPU time counts, the broker's apart. ``-low`` has 4 orders open, ``-half`` comes on a schedule of
half the rate that the same system has just shown it can take.
"""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from functools import partial
from pathlib import Path

import anyio
import msgspec

from bench import systems
from bench.case import Case, Contender, Round
from bench.http_client import Client
from bench.load import Load, at_rate, closed, drive
from bench.mailbox_watch import MailWatch
from bench.meter import Meter
from bench.sample import Latency, Sample
from bench.systems import ORDER, Place

WARM_UP = 64
ORDER_S_MAX = 60.0
System = Callable[[Path, str], AbstractContextManager[Place]]


class Customers:
    """Places orders at one system, and waits for each to be shipped and mailed."""

    def __init__(self, place: Place) -> None:
        self._client = Client.of(place.url)
        self._path = place.path
        self._open: dict[str, anyio.Event] = {}
        self._watch = MailWatch(place.mails, self._arrived)
        self.mailed_at: dict[str, float] = {}
        self.order_of: dict[int, str] = {}
        self.errors = 0

    async def order(self, number: int) -> None:
        """Place one order; return once its *shipped* mail is there."""
        answer = await self._client.post(self._path, ORDER)
        if answer.status != 201:
            self.errors += 1
            return
        order_id = str(msgspec.json.decode(answer.body)["id"])
        self.order_of[number] = order_id
        if order_id not in self.mailed_at:
            mailed = self._open[order_id] = anyio.Event()
            with anyio.move_on_after(ORDER_S_MAX) as waiting:
                await mailed.wait()
            self.errors += waiting.cancelled_caught

    async def close(self) -> None:
        """Leave."""
        self._watch.close()
        await self._client.close()

    def _arrived(self, order_id: str, at: float) -> None:
        self.mailed_at[order_id] = at
        if (mailed := self._open.pop(order_id, None)) is not None:
            mailed.set()


def saturated(task: Round, system: System, open_max: int = 256) -> Sample:
    """Keep so many orders open."""
    with system(task.folder, task.broker_url) as place:
        return anyio.run(drive_orders, task, place, task.load or closed(open_max))


def half(task: Round, system: System) -> Sample:
    """Find out the rate with one half of the orders, then send the others at half that rate."""
    with system(task.folder, task.broker_url) as place:
        return anyio.run(_half, task, place)


async def _half(task: Round, place: Place) -> Sample:
    some = msgspec.structs.replace(task, operations=max(1, task.operations // 2))
    full = await drive_orders(some, place, closed(256))
    return await drive_orders(some, place, at_rate(full.rate / 2))


async def drive_orders(
    task: Round, place: Place, load: Load, mark: Callable[[bool], None] = lambda _begin: None
) -> Sample:
    """Send the round's orders. ``mark`` is called with True before them and with False after."""
    customers = Customers(place)
    meter = Meter(place.pids, task.broker_pid)
    await drive(closed(16), min(WARM_UP, task.operations), customers.order)
    customers.order_of.clear()
    mark(True)
    with meter.running():
        latencies = await drive(load, task.operations, customers.order)
    mark(False)
    await customers.close()
    prepared = _prepared(place, customers, latencies)
    figures = {"prepared_p50": prepared.p50, "prepared_p99": prepared.p99} if prepared else {}
    broker_us = 1e6 * meter.sample(task.operations).broker_cpu_s / task.operations
    return meter.sample(
        task.operations, latencies, errors=customers.errors, broker_cpu_us=broker_us, **figures
    )


def _prepared(place: Place, customers: Customers, latencies: list[float]) -> Latency | None:
    """Return when orders were prepared, from the log; None where there is no such log.

    The whole latency counts from when the order was meant to come; what came after *prepared* is
    taken off it.
    """
    log = place.data / "orders.db"
    with closing(sqlite3.connect(f"file:{log}?mode=ro", uri=True)) as connection:
        query = "SELECT stream, recorded_at_ms FROM events WHERE type = 'shipping-prepared'"
        try:
            at = {stream: at_ms / 1000 for stream, at_ms in connection.execute(query)}
        except sqlite3.OperationalError:
            return None
    return Latency.of(
        [
            latencies[number] - (customers.mailed_at[order_id] - at[order_id])
            for number, order_id in customers.order_of.items()
            if order_id in at and order_id in customers.mailed_at
        ]
    )


straight: System = partial(systems.faststream, safe=False)
safe: System = partial(systems.faststream, safe=True)
four: System = partial(
    systems.faststream, safe=True, shares=("http", "payment", "shipping", "notification")
)
_SAFE = "outbox, dedup in the save's transaction, quorum queues; no retries, no dead letters"
_OURS = "no order lost or done twice: outbox, inbox, confirms, quorum queues, FULL, supervision"
_RIVAL = "FastStream 0.7 + eventsourcing 9.5 on uvicorn, uvloop, one process"

CASE = Case(
    name="e2e",
    title="an order, placed over HTTP until shipped and mailed, on RabbitMQ",
    operation="order",
    operations=1_200,
    broker=True,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="ordermill up, Quart on Hypercorn, one process, 256 orders open",
            guarantees=_OURS,
            run=partial(saturated, system=systems.ordermill),
        ),
        Contender(
            name="faststream-safe",
            role="rival",
            how=f"{_RIVAL}, 256 orders open, with outbox and dedup",
            guarantees=_SAFE,
            run=partial(saturated, system=safe),
            share=0.5,
        ),
        Contender(
            name="faststream",
            role="rival",
            how=f"{_RIVAL}, 256 orders open, straightforward: save, then publish",
            guarantees="a crash loses messages, a second copy is worked on again",
            run=partial(saturated, system=straight),
            share=0.5,
        ),
        Contender(
            name="faststream-four",
            role="rival",
            how="the same with outbox and dedup, a process a service (4), 256 orders open",
            guarantees=_SAFE,
            run=partial(saturated, system=four),
            share=0.5,
        ),
        Contender(
            name="ordermill-apart",
            role="ours",
            how="ordermill serve all --split, a process a service (5), HTTP between, 256 open",
            guarantees=_OURS,
            run=partial(saturated, system=systems.ordermill_apart),
            share=0.5,
        ),
        Contender(
            name="ordermill-low",
            role="ours",
            how="ordermill up, 4 orders open",
            guarantees=_OURS,
            run=partial(saturated, system=systems.ordermill, open_max=4),
            share=0.2,
        ),
        Contender(
            name="faststream-safe-low",
            role="rival",
            how=f"{_RIVAL}, 4 orders open, with outbox and dedup",
            guarantees=_SAFE,
            run=partial(saturated, system=safe, open_max=4),
            share=0.2,
        ),
        Contender(
            name="ordermill-half",
            role="ours",
            how="ordermill up, open loop at half of its rate of saturation",
            guarantees=_OURS,
            run=partial(half, system=systems.ordermill),
        ),
    ),
)
