"""The vault: entitlements, erasure down to the bytes, and what it leaves behind."""

from pathlib import Path
from typing import get_args

import pytest

from actors.domain.order import Order
from actors.domain.order_events import CancelOrder, OrderQuery, Personal, Service
from actors.order_events.client import LocalOrderEvents
from actors.order_events.vault import ENTITLED
from runtime.errors import Rejection
from tests.harness.order_events import local_order_events, order_events_parts, sample_intent
from tests.harness.orders import sample_placing

CANARIES = (b"Canary Lovelace", b"canary@example.org", b"1 Canary Square", b"pm_card_canary")


def test_every_service_has_a_row_and_only_payment_sees_tokens() -> None:
    assert set(ENTITLED) == set(get_args(Service))
    assert [service for service, kinds in ENTITLED.items() if "payment" in kinds] == ["payment"]


async def _placed_with_canaries(client: LocalOrderEvents) -> Order:
    placing = sample_placing(token="pm_card_canary", email="canary@example.org")
    customer = type(placing.customer)("Canary Lovelace", "canary@example.org")
    address = type(placing.shipping_address)("Canary Lovelace", "1 Canary Square", "L", "1", "GB")
    command = type(placing)(customer, placing.items, address, placing.payment)
    return (await client.execute(command, sample_intent("k", fingerprint="canary-print"))).order


def _bytes_on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


async def test_erased_data_is_in_no_byte_of_any_file(tmp_path: Path) -> None:
    async with order_events_parts(tmp_path) as parts:
        client = parts.client("gateway")
        order = await _placed_with_canaries(client)
        cancelled = await client.execute(CancelOrder(order.id, "customer"), sample_intent())
        before = _bytes_on_disk(tmp_path)
        assert all(canary in before for canary in CANARIES)
        await client.erase(order.id)
        after = _bytes_on_disk(tmp_path)
        assert [canary for canary in (*CANARIES, b"canary-print") if canary in after] == []
        assert await client.order(order.id) == cancelled.order
        assert await client.personal(order.id, order.customer_ref) == Personal()
        assert await client.orders(OrderQuery(email="canary@example.org")) == []
        assert [row.id for row in await client.orders(OrderQuery())] == [order.id]


async def test_a_key_of_an_erased_order_stays_taken(tmp_path: Path) -> None:
    async with local_order_events(tmp_path) as client:
        order = await _placed_with_canaries(client)
        await client.execute(CancelOrder(order.id, "customer"), sample_intent())
        await client.erase(order.id)
        with pytest.raises(Rejection) as caught:
            await client.execute(sample_placing(), sample_intent("k", fingerprint="canary-print"))
        assert caught.value.code == "idempotency-key-reused"


@pytest.mark.parametrize("service", ["payment", "shipping", "notification"])
async def test_only_the_gateway_erases(tmp_path: Path, service: Service) -> None:
    async with local_order_events(tmp_path, service) as client:
        with pytest.raises(Rejection) as caught:
            await client.erase("ord_1")
        assert caught.value.code == "forbidden"


async def test_an_order_that_may_need_its_data_is_not_erased(tmp_path: Path) -> None:
    async with local_order_events(tmp_path) as client:
        order = await _placed_with_canaries(client)
        with pytest.raises(Rejection) as caught:
            await client.erase(order.id)
        assert (caught.value.code, caught.value.status_hint) == ("not-settled", 409)
        with pytest.raises(Rejection) as caught:
            await client.erase("ord_none")
        assert caught.value.code == "not-found"
        assert (await client.personal(order.id, order.customer_ref)).customer is not None
