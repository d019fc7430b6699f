"""``append``: a guarded event with its outbox row, durable when the caller is answered.

The event is *payment-captured* of an order that was placed and whose payment has begun: it passes
the guard of the state machine, goes into the log, into the outbox and into the order list.
"""

import anyio

from actors.domain.events import PaymentAuthInProgress
from bench.case import Case, Contender, Round
from bench.load import closed, drive
from bench.meter import Meter
from bench.order_store import OrderStore, with_order_store
from bench.rivals import aiosqlite, eventsourcing
from bench.sample import Sample
from bench.shop_orders import CAPTURED, PLACING, intent
from bench.supervised import Ground

CALLERS = 64


def many(task: Round) -> Sample:
    """Append for 64 callers at a time."""
    return anyio.run(_ours, task, CALLERS)


def one(task: Round) -> Sample:
    """Append for one caller, one event after the other."""
    return anyio.run(_ours, task, 1)


async def _ours(task: Round, callers: int) -> Sample:
    meter = Meter()

    async def work(store: OrderStore) -> Sample:
        orders = await _orders_to_capture(store, task.operations)
        payment = store.client("payment")

        async def append(number: int) -> None:
            await payment.append(
                orders[number], f"evt_c{number}", CAPTURED, correlation_id=f"evt_{number}"
            )

        with meter.running():
            latencies = await drive(task.load or closed(callers), task.operations, append)
        return meter.sample(task.operations, latencies)

    return await with_order_store(Ground(task.folder), work)


async def _orders_to_capture(store: OrderStore, count: int) -> list[str]:
    orders = [""] * count
    gateway, payment = store.client("gateway"), store.client("payment")

    async def place(number: int) -> None:
        order = (await gateway.execute(PLACING, intent(number))).order
        orders[number] = order.id
        await payment.append(
            order.id, f"evt_b{number}", PaymentAuthInProgress(1), correlation_id=f"evt_{number}"
        )

    await drive(closed(512), count, place)
    return orders


CASE = Case(
    name="append",
    title="durable guarded append with outbox row",
    operation="append",
    operations=10_000,
    micro=True,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="ask the single writer, 64 callers at a time, group commit",
            guarantees="durable (FULL), guarded, idempotent by event id, with outbox and list row",
            run=many,
        ),
        Contender(
            name="aiosqlite",
            role="limit",
            how="the same event and outbox rows through aiosqlite, 64 callers, one COMMIT a group",
            guarantees="durable (FULL); no guard, no idempotency, no fold, no order list",
            run=aiosqlite.many,
            share=2.0,
        ),
        Contender(
            name="eventsourcing",
            role="rival",
            how="eventsourcing 9.5 on SQLite, aggregate cache, one thread (its fastest way)",
            guarantees="durable (FULL), guarded by the aggregate, its notification log as outbox",
            run=eventsourcing.append,
            share=0.3,
        ),
        Contender(
            name="ordermill-one",
            role="ours",
            how="ask the single writer, one caller",
            guarantees="as ordermill",
            run=one,
            share=0.1,
        ),
        Contender(
            name="sqlite-one",
            role="limit",
            how="event and outbox row, one COMMIT each, sqlite3 in the caller's own thread",
            guarantees="durable (FULL); blocks the event loop meanwhile",
            run=aiosqlite.one,
            share=0.1,
        ),
    ),
)
