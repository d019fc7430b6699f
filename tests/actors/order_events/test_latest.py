"""Reads of an order as it is now: the same as a fold of its stream, and at once."""

from functools import partial
from pathlib import Path

import msgspec
import pytest

from actors.domain.events import PaymentAuthInProgress
from actors.domain.order import Order
from actors.domain.order_events import CancelOrder, Personal
from actors.order_events import vault
from actors.order_events.latest import Latest
from actors.order_events.stream import order_at
from runtime.errors import Rejection
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


def test_versions_that_followed_one_another_are_here() -> None:
    latest, order = Latest(), named("ord_1")
    states = [msgspec.structs.replace(order, version=version) for version in (2, 3, 4)]
    for state in states:
        latest.put(state)
    assert [latest.get("ord_1", version) for version in range(1, 6)] == [None, *states, None]
    assert latest.get("ord_1", None) is states[-1]
    assert latest.get("ord_2", None) is None


def test_after_a_gap_only_what_came_behind_it_is_here() -> None:
    latest, order = Latest(), named("ord_1")
    later = msgspec.structs.replace(order, version=order.version + 2)
    latest.put(order)
    latest.put(later)
    assert latest.get("ord_1", order.version) is None
    assert latest.get("ord_1", later.version) is later


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


async def test_personal_data_is_here_from_its_commit_until_it_is_erased(tmp_path: Path) -> None:
    async with order_events_parts(tmp_path) as parts:
        gateway = parts.client("gateway")
        placing = sample_placing()
        order = (await gateway.execute(placing, sample_intent("k"))).order
        refs = (order.customer_ref, order.address_ref, order.payment.ref)
        for service, ref in zip(("notification", "shipping", "payment"), refs, strict=True):
            read = await parts.client(service).personal(order.id, ref)
            (kept,) = parts.latest.personal(order.id, [ref]) or []
            assert kept.personal == read != Personal()
            assert read == await parts.database.read(
                partial(vault.read, order_id=order.id, refs=[ref], service=service)
            )
        both = await gateway.personal(order.id, *refs[:2])
        assert (both.customer, both.address) == (placing.customer, placing.shipping_address)
        with pytest.raises(Rejection, match="may not read"):
            await parts.client("payment").personal(order.id, order.customer_ref)
        await gateway.execute(CancelOrder(order.id, "customer"), sample_intent("c"))
        await gateway.erase(order.id)
        assert [parts.latest.personal(order.id, [ref]) for ref in refs] == [None] * 3
        assert await gateway.personal(order.id, order.customer_ref) == Personal()
