from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from actors.domain.order_events import OrderEvents, Recorded
from actors.shipping.shipments import AskedShipments, Ship, ShippingDesk
from runtime.actor import ActorRef, actor_child
from runtime.errors import DeadlineExceeded, Rejection, Unavailable
from tests.harness.running import running
from tests.harness.shop import Shop, open_shop


@asynccontextmanager
async def desk(order_events: OrderEvents, deadline_s: float = 20) -> AsyncIterator[AskedShipments]:
    ref: ActorRef[Ship] = ActorRef("shipping-desk")
    child = actor_child("shipping-desk", lambda: ShippingDesk(order_events), ref, batch_max=64)
    async with running(child.run):
        yield AskedShipments(ref, deadline_s=deadline_s)


async def prepared_order(shop: Shop) -> str:
    order_id = await shop.place()
    await shop.prepare(order_id)
    return order_id


async def test_a_prepared_order_is_shipped_once(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop, desk(shop.shipping) as shipments:
        order_id = await prepared_order(shop)
        first = await shipments.shipped(order_id, "DHL", "JJD1", "req_a")
        assert (first.replayed, first.event.correlation_id) == (False, "req_a")
        again = await shipments.shipped(order_id, "DHL", "JJD1", "req_b")
        assert again == Recorded(first.event, replayed=True)
        assert (await shop.types(order_id))[-1] == "shipped"
        assert (await shop.types(order_id)).count("shipped") == 1


@pytest.mark.parametrize(("carrier", "tracking"), [("UPS", "JJD1"), ("DHL", "JJD2")])
async def test_another_carrier_or_number_is_refused(
    tmp_path: Path, carrier: str, tracking: str
) -> None:
    async with open_shop(tmp_path) as shop, desk(shop.shipping) as shipments:
        order_id = await prepared_order(shop)
        await shipments.shipped(order_id, "DHL", "JJD1", "req_a")
        with pytest.raises(Rejection) as refusal:
            await shipments.shipped(order_id, carrier, tracking, "req_b")
        assert (refusal.value.code, refusal.value.status_hint) == ("already-shipped", 409)
        assert (await shop.order(order_id)).tracking == "JJD1"


async def test_what_is_not_prepared_or_not_there_is_refused(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop, desk(shop.shipping) as shipments:
        order_id = await shop.place()
        with pytest.raises(Rejection) as refusal:
            await shipments.shipped(order_id, "DHL", "JJD1", "req_a")
        assert refusal.value.code == "not-prepared"
        with pytest.raises(Rejection) as missing:
            await shipments.shipped("ord_unknown", "DHL", "JJD1", "req_a")
        assert (missing.value.code, missing.value.status_hint) == ("not-found", 404)


async def test_a_text_that_the_log_refuses_does_not_end_the_desk(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop, desk(shop.shipping) as shipments:
        order_id = await prepared_order(shop)
        with pytest.raises(Rejection) as refusal:
            await shipments.shipped(order_id, "D" * 41, "JJD1", "req_a")
        assert (refusal.value.code, refusal.value.status_hint) == ("validation-failed", 422)
        assert not (await shipments.shipped(order_id, "DHL", "JJD1", "req_a")).replayed


async def test_two_at_once_are_both_answered_and_one_wins(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop, desk(shop.shipping) as shipments:
        order_id = await prepared_order(shop)
        answers: list[str] = []

        async def ask(tracking: str) -> None:
            try:
                await shipments.shipped(order_id, "DHL", tracking, "req_a")
                answers.append("shipped")
            except Rejection as refusal:
                answers.append(refusal.code)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, "JJD1")
            tasks.start_soon(ask, "JJD2")
        assert sorted(answers) == ["already-shipped", "shipped"]


class Slow:
    """An order-events whose append takes until it is let go."""

    def __init__(self, shop: Shop) -> None:
        self.asked = anyio.Event()
        self.go = anyio.Event()
        self._inner = shop.shipping

    async def append(self, *args: object, **kwargs: object) -> Recorded:
        self.asked.set()
        await self.go.wait()
        return await self._inner.append(*args, **kwargs)  # type: ignore[arg-type]


async def test_a_caller_that_goes_away_does_not_take_the_request_along(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        slow = Slow(shop)
        async with desk(slow) as shipments:  # type: ignore[arg-type]
            order_id = await prepared_order(shop)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(shipments.shipped, order_id, "DHL", "JJD1", "req_a")
                await slow.asked.wait()
                tasks.cancel_scope.cancel()
            slow.go.set()
            answer = await shipments.shipped(order_id, "DHL", "JJD1", "req_b")
            assert answer.replayed
            assert answer.event.correlation_id == "req_a"


async def test_an_answer_that_comes_too_late_is_unknown_not_failed(tmp_path: Path) -> None:
    async with open_shop(tmp_path) as shop:
        slow = Slow(shop)
        async with desk(slow, deadline_s=0.05) as shipments:  # type: ignore[arg-type]
            order_id = await prepared_order(shop)
            with pytest.raises(DeadlineExceeded):
                await shipments.shipped(order_id, "DHL", "JJD1", "req_a")
            slow.go.set()
            seen: list[str] = []

            async def look() -> None:
                while "shipped" not in seen:
                    seen[:] = await shop.types(order_id)

            with anyio.fail_after(20):
                await look()


async def test_a_log_that_is_down_is_unavailable(tmp_path: Path) -> None:
    class Down:
        async def append(self, *_args: object, **_kwargs: object) -> Recorded:
            raise Unavailable("order-events does not answer")

    async with desk(Down()) as shipments:  # type: ignore[arg-type]
        with pytest.raises(Unavailable):
            await shipments.shipped("ord_1", "DHL", "JJD1", "req_a")
