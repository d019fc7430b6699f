"""The cache against the store, under works that fail after they have staged something."""

import random
from functools import partial
from pathlib import Path

import pytest

from actors.domain.events import EVENT_TYPES
from actors.domain.order_events import (
    CancelOrder,
    Command,
    PaymentDetails,
    UpdatePayment,
)
from actors.order_events import order_list
from actors.order_events.appending import Log
from actors.order_events.deciding import Append, Decision, Execute, Fresh, Request, decide
from actors.order_events.schema import MIGRATIONS
from actors.order_events.stream import Folds, order_at
from runtime.database import Database, open_database
from runtime.errors import Rejection
from runtime.event_store import find_faults
from runtime.host import production_host
from runtime.transaction import Transaction
from tests.harness.order_events import (
    sample_intent,
)
from tests.harness.orders import SAMPLES, sample_placing


class _Broken(Exception):
    pass


def _work(log: Log, request: Request, fresh: Fresh, fails: bool, tx: Transaction) -> Decision:
    decision = decide(log, request, fresh, tx)
    if fails:
        raise _Broken
    return decision


def _random_request(draw: random.Random, number: int, known: list[str]) -> Request:
    if not known or draw.random() < 0.2:
        return Execute("gateway", sample_placing(), sample_intent(f"p{number}"))
    order_id = draw.choice(known)
    if draw.random() < 0.3:
        commands: list[Command] = [
            CancelOrder(order_id, "customer"),
            UpdatePayment(order_id, PaymentDetails("pm_card_visa", "visa", "4242")),
        ]
        return Execute("gateway", draw.choice(commands), sample_intent(f"c{number}"))
    name = draw.choice([n for n, row in EVENT_TYPES.items() if row.app_id != "order-event-service"])
    app_id = EVENT_TYPES[name].app_id
    service = "payment" if app_id == "payment-service" else "shipping"
    return Append(service, order_id, f"{order_id}-{name}", SAMPLES[name], "msg")


def _fresh(number: int) -> Fresh:
    return Fresh(
        order_id=f"ord_{number}",
        event_id=f"evt_{number}",
        payment_ref=f"pay_{number}",
        customer_ref=f"cus_{number}",
        address_ref=f"adr_{number}",
        at_ms=number,
    )


@pytest.mark.parametrize("seed", range(8))
async def test_the_cache_is_the_store_whatever_fails(tmp_path: Path, seed: int) -> None:
    draw = random.Random(seed)
    log = Log(Folds(orders_max=5), lambda order: None, lambda *_: None, lambda: None)
    known: list[str] = []
    number = 0
    host = production_host(tmp_path)
    async with open_database(host.disk, "orders.db", MIGRATIONS) as database:
        for _ in range(30):
            works = []
            for _ in range(draw.randint(1, 12)):
                number += 1
                request = _random_request(draw, number, known)
                fails = draw.random() < 0.3
                works.append(partial(_work, log, request, _fresh(number), fails))
                if isinstance(request, Execute) and request.intent.key == f"p{number}":
                    known.append(f"ord_{number}")
            await database.write_all(works)
            await _assert_the_cache_agrees(database, log, known)
        assert await database.read(find_faults) == []
        await _assert_the_list_agrees(database)


async def _assert_the_cache_agrees(database: Database, log: Log, known: list[str]) -> None:
    def compare(tx: Transaction) -> None:
        for order_id in known:
            try:
                stored = order_at(tx.connection, order_id)
            except Rejection:
                stored = None
            assert log.folds.order(tx, order_id) == stored
        assert len(log.folds) <= 5

    await database.write(compare)


async def _assert_the_list_agrees(database: Database) -> None:
    everything = "SELECT * FROM order_list ORDER BY order_id"
    before = await database.read(lambda c: c.execute(everything).fetchall())
    assert before
    await database.write(lambda tx: order_list.rebuild(tx.connection))
    assert await database.read(lambda c: c.execute(everything).fetchall()) == before
