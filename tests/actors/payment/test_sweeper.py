"""The sweeper finds what nobody works on, and leaves alone what somebody does."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from actors.payment.sweeper import Sweeper
from runtime import inbox
from runtime.errors import MailboxFull, Rejection, Unavailable
from runtime.inbox import Claimed, State
from tests.actors.payment.world import Script, World, die, lose, payment_world
from tests.harness.running import running
from tests.harness.waiting import until


class Lane:
    """Remembers what was told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        self.full = False

    def tell(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        if self.full:
            raise MailboxFull("full")
        self.told.append((key, work))

    async def work(self) -> None:
        while self.told:
            await self.told.pop(0)[1]()


def sweeper_of(world: World, lane: Lane) -> Sweeper:
    return Sweeper(
        world.orders,
        world.desk(),
        tell=lane.tell,
        resume=world.service().resume,
        every_s=0.01,
    )


async def owing(world: World) -> str:
    """A paid and cancelled order whose message nobody has handled."""
    order_id = await world.place()
    await world.deliver(order_id)
    await world.cancel(order_id)
    return order_id


async def put_in_inbox(world: World, order_id: str, name: str, state: State) -> None:
    message = await world.message(order_id, name)
    assert message is not None
    taken = await world.database.write(lambda tx: inbox.claim(tx, message, "inc", 0))
    assert isinstance(taken, Claimed)
    match state:
        case "requeued" | "parked" | "done":
            await world.database.write(lambda tx: inbox.settle(tx, taken, state, 0))
        case "held":
            await world.database.write(lambda tx: inbox.mark_held(tx, taken, 0))
        case "claimed":
            pass


async def test_a_refund_without_a_message_is_paid(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await owing(world)
        async with running(sweeper_of(world, lane).run):
            await until(lambda: lane.told)
        assert [key for key, _ in lane.told] == [order_id]
        await lane.work()
        assert (await world.types(order_id))[-1] == "payment-refunded"
        assert "payment_refunds_due 1.0" in world.telemetry.render().decode()
        await world.check(order_id)


@pytest.mark.parametrize("name", ["order-created", "order-cancelled"])
@pytest.mark.parametrize("state", ["claimed", "held", "requeued", "parked", "done"])
async def test_a_refund_is_left_to_a_message_that_is_not_done(
    tmp_path: Path, name: str, state: State
) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await owing(world)
        await put_in_inbox(world, order_id, name, state)
        sweeper = sweeper_of(world, lane)
        await sweeper.sweep()
        assert len(lane.told) == (1 if state == "done" else 0)
        world.clock.at_s += 3600
        await sweeper.sweep()
        assert [key for key, _ in lane.told][-1:] == [order_id]


async def test_an_open_attempt_without_a_message_is_resumed(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await world.place()
        await world.deliver(order_id, script=Script({(8, "after"): die}), attempts_max=1)
        sweeper = sweeper_of(world, lane)
        await sweeper.sweep()
        await sweeper.sweep()
        assert len(lane.told) == 1
        await lane.work()
        await world.check(order_id)
        await sweeper.sweep()
        assert lane.told == []


async def test_an_open_attempt_that_was_parked_is_left_to_a_person(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await world.place("pm_card_poison")
        assert await world.deliver(order_id) == "parked: provider-answer"
        await put_in_inbox(world, order_id, "order-created", "parked")
        world.clock.at_s += 7200
        await sweeper_of(world, lane).sweep()
        assert lane.told == []


async def test_what_a_finished_order_left_in_the_journal_is_cleared(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await world.place()
        await world.deliver(order_id, script=Script({(10, "after"): die}), attempts_max=1)
        await sweeper_of(world, lane).sweep()
        await lane.work()
        await world.check(order_id)


async def test_a_failed_refund_is_told_again_and_full_lanes_postpone_it(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await owing(world)
        desk = world.desk(Script({(0, "after"): lose}))
        failing = world.service(Script({(0, "before"): lose}))
        sweeper = Sweeper(world.orders, desk, tell=lane.tell, resume=failing.resume, every_s=1.0)
        lane.full = True
        await sweeper.sweep()
        assert lane.told == []
        lane.full = False
        await sweeper.sweep()
        with pytest.raises(Unavailable):
            await lane.work()
        await sweeper.sweep()
        await lane.work()
        await world.check(order_id)


async def test_it_outlives_an_order_service_that_is_away(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await owing(world)
        answers = [Unavailable("away"), Unavailable("away")]

        async def refunds_due() -> list[str]:
            if answers:
                raise answers.pop()
            return [order_id]

        sweeper = sweeper_of(world, lane)
        world.orders.refunds_due = refunds_due  # type: ignore[method-assign]
        async with running(sweeper.run):
            await until(lambda: lane.told)
        assert sum("payment.sweep-postponed" in line for line in world.lines) == 2


async def test_orders_that_the_store_does_not_know_are_skipped(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        lane, order_id = Lane(), await owing(world)

        async def refunds_due() -> list[str]:
            return ["ord_unknown", order_id]

        sweeper = sweeper_of(world, lane)
        world.orders.refunds_due = refunds_due  # type: ignore[method-assign]
        await sweeper.sweep()
        assert [key for key, _ in lane.told] == [order_id]
        with pytest.raises(Rejection):
            await world.orders.order("ord_unknown")
