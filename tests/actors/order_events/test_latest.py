"""Reads of an order as it is now: the same as a fold of its stream, and at once."""

from functools import partial
from pathlib import Path

import msgspec

from actors.domain.events import PaymentAuthInProgress
from actors.domain.order import Order
from actors.domain.order_events import CancelOrder
from actors.order_events.latest import Latest
from actors.order_events.stream import order_at
from tests.harness.order_events import order_events_parts, sample_intent
from tests.harness.orders import sample_order, sample_placing


def named(order_id: str) -> Order:
    return msgspec.structs.replace(sample_order("order-created"), id=order_id)


def test_it_keeps_the_orders_that_were_appended_to_last() -> None:
    latest = Latest(orders_max=2)
    first, second, third = (named(f"ord_{number}") for number in range(3))
    for order in (first, second, first, third):
        latest.put(order)
    assert [latest.get(order.id, None) for order in (first, second, third)] == [first, None, third]
    assert len(latest) == 2


def test_another_version_is_not_here() -> None:
    latest, order = Latest(), named("ord_1")
    latest.put(order)
    assert latest.get("ord_1", order.version) is order
    assert latest.get("ord_1", order.version + 1) is None
    assert latest.get("ord_2", None) is None


async def test_every_read_is_what_the_stream_folds_to(tmp_path: Path) -> None:
    async with order_events_parts(tmp_path) as parts:
        gateway, payment = parts.client("gateway"), parts.client("payment")
        order = (await gateway.execute(sample_placing(), sample_intent("k"))).order
        await payment.append(order.id, "evt_1", PaymentAuthInProgress(1), correlation_id="m")
        await gateway.execute(CancelOrder(order.id, "customer"), sample_intent("c"))
        for version in (None, 1, 2, 3):
            read = await gateway.order(order.id, at_version=version)
            assert read == await parts.database.read(
                partial(order_at, order_id=order.id, at_version=version)
            )
        assert parts.latest.get(order.id, 3) is not None
