"""Giving the money back: once, for ever if need be, and only when it is owed."""

from itertools import product
from pathlib import Path

import anyio
import pytest

from runtime.errors import Unavailable
from tests.actors.payment.world import Script, Side, World, die, lose, payment_world

STEPS = [
    "order",
    "append PaymentRefundInProgress",
    "order",
    "journal",
    "refund",
    "append PaymentRefunded",
    "journal",
]
SIDES: tuple[Side, ...] = ("before", "after")


async def paid_and_cancelled(world: World, token: str = "pm_card_visa") -> str:
    order_id = await world.place(token)
    assert await world.deliver(order_id) == "done"
    await world.cancel(order_id)
    return order_id


async def test_a_cancelled_order_that_was_paid_is_refunded_in_full(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await paid_and_cancelled(world)
        script = Script()
        assert await world.deliver(order_id, "order-cancelled", script=script) == "done"
        assert script.log == STEPS
        assert await world.types(order_id) == [
            "payment-auth-in-progress",
            "payment-captured",
            "order-cancelled",
            "payment-refund-in-progress",
            "payment-refunded",
        ]
        events = await world.gateway.events(order_id)
        assert {event.correlation_id for event in events[-2:]} == {events[3].id}
        await world.check(order_id)


async def test_nothing_is_refunded_without_a_cancellation_or_without_a_charge(
    tmp_path: Path,
) -> None:
    async with payment_world(tmp_path) as world:
        declined = await world.place("pm_card_declined")
        await world.deliver(declined)
        await world.cancel(declined)
        assert await world.deliver(declined, "order-cancelled") == "done"
        paid = await world.place()
        await world.deliver(paid)
        service = world.service()
        await service.resume(paid)
        assert [row.kind for row in await world.sandbox.ledger()] == ["authorise", "capture"]
        await world.check(declined, approves=False)
        await world.check(paid)


async def test_both_messages_again_and_again_refund_once(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await paid_and_cancelled(world)
        for name in ("order-cancelled", "order-created", "order-cancelled"):
            assert await world.deliver(order_id, name) == "done"
        assert await world.kinds(order_id) == ["authorise", "capture", "refund"]
        await world.check(order_id)


async def test_a_refund_fails_three_times_and_then_succeeds_under_one_key(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await paid_and_cancelled(world, "pm_card_refund_flaky")
        cancelled = await world.message(order_id, "order-cancelled")
        assert cancelled is not None
        for _ in range(3):
            with pytest.raises(Unavailable) as failed:
                await world.handle(cancelled)
            assert failed.value.gives_up is False
        await world.handle(cancelled)
        refunds = [row for row in await world.sandbox.requests() if row.kind == "refund"]
        assert [row.answer for row in refunds] == ["unreachable"] * 3 + ["refunded"]
        assert len({row.key for row in refunds}) == 1
        await world.check(order_id)


@pytest.mark.parametrize("number", range(len(STEPS)))
@pytest.mark.parametrize("side", SIDES)
async def test_a_refund_never_gives_up_whatever_is_unavailable(
    tmp_path: Path, number: int, side: Side
) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await paid_and_cancelled(world)
        cancelled = await world.message(order_id, "order-cancelled")
        assert cancelled is not None
        with pytest.raises(Unavailable) as failed:
            await world.handle(cancelled, Script({(number, side): lose}))
        assert failed.value.gives_up is False
        await world.handle(cancelled)
        await world.check(order_id)


@pytest.mark.parametrize("personality", ["stores-all", "stores-success"])
async def test_one_refund_wherever_the_process_dies_twice(tmp_path: Path, personality: str) -> None:
    async def die_twice(first: int, side: Side, second: int) -> None:
        order_id = await paid_and_cancelled(world)
        script = Script({(first, side): die, (first + second, "after"): die})
        await world.deliver(order_id, "order-cancelled", script=script)
        try:
            await world.check(order_id)
        except AssertionError as error:
            error.add_note(f"died {side} {first}, {second} later: {script.log}")
            raise

    async with (
        payment_world(
            tmp_path, "stores-all" if personality == "stores-all" else "stores-success"
        ) as world,
        anyio.create_task_group() as orders,
    ):
        for first, side, second in product(range(len(STEPS)), SIDES, range(1, 6)):
            orders.start_soon(die_twice, first, side, second)


async def test_a_refund_under_an_old_key_is_looked_up_and_then_paid_after_all(
    tmp_path: Path,
) -> None:
    """Money goes back without a person: the look-up says that nothing happened."""
    async with payment_world(tmp_path) as world:
        order_id = await paid_and_cancelled(world)
        script = Script({(STEPS.index("refund"), "before"): lose})
        await world.deliver(order_id, "order-cancelled", script=script, attempts_max=1)
        world.clock.at_s += 2 * 86400
        assert await world.deliver(order_id, "order-cancelled") == "done"
        assert any("payment.key-expired" in line for line in world.lines)
        await world.check(order_id)


async def test_a_refund_that_was_paid_before_its_key_expired_is_found(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await paid_and_cancelled(world)
        script = Script({(STEPS.index("refund"), "after"): lose})
        await world.deliver(order_id, "order-cancelled", script=script, attempts_max=1)
        world.clock.at_s += 2 * 86400
        assert await world.deliver(order_id, "order-cancelled") == "done"
        assert await world.kinds(order_id) == ["authorise", "capture", "refund"]
        await world.check(order_id)
