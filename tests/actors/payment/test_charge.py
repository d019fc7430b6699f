"""Taking the money, without and with accidents; every order of port calls is the product's own."""

from itertools import product
from pathlib import Path

import anyio
import pytest

from actors.domain.order_events import PaymentDetails, UpdatePayment
from actors.payment.sandbox_books import Personality
from runtime.errors import Unprocessable
from tests.actors.payment.world import Script, Side, World, die, lose, payment_world
from tests.harness.order_events import sample_intent

PERSONALITIES: tuple[Personality, ...] = ("stores-all", "stores-success")
SIDES: tuple[Side, ...] = ("before", "after")

STEPS = [
    "append PaymentAuthInProgress",
    "order with payment",
    "order",
    "journal",
    "authorise",
    "order",
    "journal",
    "capture",
    "append PaymentCaptured",
    "order",
]


async def test_state_is_read_again_after_the_lock_and_after_the_authorisation(
    tmp_path: Path,
) -> None:
    async with payment_world(tmp_path) as world:
        script = Script()
        order_id = await world.place()
        assert await world.deliver(order_id, script=script) == "done"
        assert script.log == STEPS
        assert await world.types(order_id) == ["payment-auth-in-progress", "payment-captured"]
        assert await world.kinds(order_id) == ["authorise", "capture"]
        await world.check(order_id)


async def test_events_carry_the_message_that_led_to_them_and_the_version_of_the_card(
    tmp_path: Path,
) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        await world.deliver(order_id)
        created, lock, captured = await world.gateway.events(order_id)
        assert {lock.correlation_id, captured.correlation_id} == {created.id}
        assert getattr(captured.body, "payment_version", None) == lock.version == 2


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("pm_card_declined", "card_declined"),
        ("pm_card_insufficient", "insufficient_funds"),
        ("pm_card_expired", "expired_card"),
        ("pm_card_cvc", "incorrect_cvc"),
        ("pm_card_processing", "processing_error"),
    ],
)
@pytest.mark.parametrize("personality", PERSONALITIES)
async def test_a_decline_is_stated_with_its_reason(
    tmp_path: Path, token: str, reason: str, personality: Personality
) -> None:
    async with payment_world(tmp_path, personality) as world:
        order_id = await world.place(token)
        assert await world.deliver(order_id) == "done"
        assert await world.failure(order_id) == reason
        assert await world.kinds(order_id) == []
        await world.check(order_id, approves=False)


async def test_a_flaky_card_is_retried_with_its_key_until_it_is_charged_once(
    tmp_path: Path,
) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place("pm_card_flaky")
        assert await world.deliver(order_id, attempts_max=2) == "retrying"
        assert await world.deliver(order_id, attempts_max=1) == "done"
        assert await world.kinds(order_id) == ["authorise", "capture"]
        asked = [row.answer for row in await world.sandbox.requests()]
        assert asked == ["unreachable", "unreachable", "authorised", "captured"]


@pytest.mark.parametrize("personality", PERSONALITIES)
async def test_a_poisoned_answer_is_parked_and_names_the_lock_it_holds(
    tmp_path: Path, personality: Personality
) -> None:
    async with payment_world(tmp_path, personality) as world:
        order_id = await world.place("pm_card_poison")
        message = await world.message(order_id, "order-created")
        assert message is not None
        for _ in range(2):
            with pytest.raises(Unprocessable, match="stays locked by payment-auth-in-progress"):
                await world.handle(message)
        assert await world.kinds(order_id) == []


async def test_no_attempt_begins_after_a_cancellation(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        await world.cancel(order_id)
        script = Script()
        assert await world.deliver(order_id, script=script) == "discarded"
        assert script.log == ["append PaymentAuthInProgress"]
        assert await world.deliver(order_id, "order-cancelled") == "done"
        assert await world.sandbox.requests() == []
        await world.check(order_id)


async def test_an_order_that_is_not_in_the_store_yet_is_retried(tmp_path: Path) -> None:
    async with payment_world(tmp_path / "a") as world, payment_world(tmp_path / "b") as other:
        order_id = await world.place()
        await world.cancel(order_id)
        created = await world.message(order_id, "order-created")
        cancelled = await world.message(order_id, "order-cancelled")
        for message in (created, cancelled):
            assert message is not None
            with pytest.raises(Exception, match="not in the store yet") as refused:
                await other.handle(message)
            assert getattr(refused.value, "gives_up", None) is True


async def test_the_same_message_again_with_an_empty_inbox_does_nothing(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        for _ in range(3):
            assert await world.deliver(order_id) == "done"
        assert len(await world.types(order_id)) == 2
        assert await world.kinds(order_id) == ["authorise", "capture"]


async def test_a_declined_order_delivered_again_is_not_asked_for_again(tmp_path: Path) -> None:
    """This personality forgets declines, and the journal has nothing more to say."""
    async with payment_world(tmp_path, "stores-success") as world:
        order_id = await world.place("pm_card_declined")
        for _ in range(2):
            assert await world.deliver(order_id) == "done"
        assert len(await world.sandbox.requests()) == 1


async def test_the_card_is_the_one_that_was_valid_at_the_lock(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place("pm_card_declined")
        other = PaymentDetails("pm_card_visa", "visa", "4242")
        await world.gateway.execute(UpdatePayment(order_id, other), sample_intent())
        assert await world.deliver(order_id) == "done"
        assert {row.token for row in await world.books(order_id)} == {"pm_card_visa"}
        await world.check(order_id)


def stored_by_the_service(folder: Path) -> bytes:
    return b"".join(file.read_bytes() for file in sorted(folder.glob("payment.db*")))


async def test_no_card_token_is_in_the_service_s_own_database(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        script = Script({(STEPS.index("append PaymentCaptured"), "before"): die})
        await world.deliver(order_id, script=script, attempts_max=1)
        stored = stored_by_the_service(tmp_path)
        assert b"/authorise/1" in stored
        assert b"pm_card" not in stored


async def test_an_attempt_is_resumed_after_the_databases_were_closed(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        script = Script({(STEPS.index("capture"), "after"): die})
        await world.deliver(order_id, script=script, attempts_max=1)
    async with payment_world(tmp_path) as world:
        assert await world.deliver(order_id) == "done"
        await world.check(order_id)


async def crash_at(world: World, number: int, side: Side, cancel: tuple[int, Side] | None) -> None:
    """Die at one port call, cancel at another, deliver everything again."""
    order_id = await world.place()

    async def cancel_it() -> None:
        await world.cancel(order_id)

    strikes = {(number, side): die}
    if cancel is not None and cancel not in strikes:
        strikes[cancel] = cancel_it
    script = Script(strikes)
    await world.deliver(order_id, script=script)
    await world.deliver(order_id, "order-cancelled", script=script)
    await world.deliver(order_id)
    try:
        await world.check(order_id)
    except AssertionError as error:
        error.add_note(f"died {side} {number}, cancelled {cancel}: {script.log}")
        raise


@pytest.mark.parametrize("personality", PERSONALITIES)
async def test_one_charge_wherever_the_process_dies(
    tmp_path: Path, personality: Personality
) -> None:
    async with payment_world(tmp_path, personality) as world, anyio.create_task_group() as orders:
        for number, side in product(range(len(STEPS)), SIDES):
            orders.start_soon(crash_at, world, number, side, None)


@pytest.mark.parametrize("side", SIDES)
async def test_one_charge_or_its_refund_wherever_it_dies_and_is_cancelled(
    tmp_path: Path, side: Side
) -> None:
    """Every pair of a death and a cancellation, one order each, all orders at once."""
    async with payment_world(tmp_path) as world:
        for number in range(len(STEPS)):
            async with anyio.create_task_group() as orders:
                for cancelled in range(len(STEPS) + 8):
                    orders.start_soon(crash_at, world, number, side, (cancelled, "before"))


@pytest.mark.parametrize("personality", PERSONALITIES)
async def test_no_charge_is_lost_or_doubled_wherever_an_answer_is_lost(
    tmp_path: Path, personality: Personality
) -> None:
    async with payment_world(tmp_path, personality) as world:
        for number in range(len(STEPS)):
            for side in SIDES:
                order_id = await world.place()
                script = Script({(number, side): lose})
                assert await world.deliver(order_id, script=script) == "done"
                await world.check(order_id)


async def test_a_cancellation_before_the_call_prevents_it(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        script = Script(
            {(STEPS.index("order with payment"), "after"): lambda: world.cancel(order_id)}
        )
        assert await world.deliver(order_id, script=script) == "done"
        assert await world.failure(order_id) == "order-cancelled"
        assert await world.sandbox.requests() == []
        await world.check(order_id)


async def test_a_cancellation_during_the_authorisation_voids_it(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        script = Script({(STEPS.index("authorise"), "after"): lambda: world.cancel(order_id)})
        assert await world.deliver(order_id, script=script) == "done"
        assert await world.failure(order_id) == "order-cancelled"
        assert await world.kinds(order_id) == ["authorise", "void"]
        await world.check(order_id)


async def test_a_cancellation_between_capture_and_its_event_is_refunded(tmp_path: Path) -> None:
    """The cancellation's own message saw nothing captured; the attempt itself looks again."""
    async with payment_world(tmp_path) as world:
        order_id = await world.place()

        async def cancelled_and_handled() -> None:
            await world.cancel(order_id)
            assert await world.deliver(order_id, "order-cancelled") == "done"

        script = Script({(STEPS.index("capture"), "after"): cancelled_and_handled})
        assert await world.deliver(order_id, script=script) == "done"
        assert await world.types(order_id) == [
            "payment-auth-in-progress",
            "order-cancelled",
            "payment-captured",
            "payment-refund-in-progress",
            "payment-refunded",
        ]
        await world.check(order_id)


async def test_a_decline_after_a_cancellation_is_stated_as_the_decline(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place("pm_card_declined")
        script = Script({(STEPS.index("authorise"), "after"): lambda: world.cancel(order_id)})
        assert await world.deliver(order_id, script=script) == "done"
        assert await world.failure(order_id) == "card_declined"


async def test_a_lost_journal_is_made_up_for_by_looking_the_keys_up(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        script = Script({(STEPS.index("capture"), "after"): die})
        assert await world.deliver(order_id, script=script, attempts_max=1) == "retrying"
        await world.desk().forget(order_id, "authorise", "capture")
        script = Script()
        assert await world.deliver(order_id, script=script) == "done"
        assert {"authorise", "capture"}.isdisjoint(script.log)
        await world.check(order_id)


@pytest.mark.parametrize(("step", "asked"), [("authorise", []), ("capture", ["authorise"])])
async def test_a_key_too_old_is_looked_up_and_never_sent_again(
    tmp_path: Path, step: str, asked: list[str]
) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        script = Script({(STEPS.index(step), "before"): lose})
        assert await world.deliver(order_id, script=script, attempts_max=1) == "retrying"
        world.clock.at_s += 86400
        script = Script()
        assert await world.deliver(order_id, script=script) == "parked: provider-key-expired"
        assert "lookup" in script.log
        assert await world.kinds(order_id) == asked
        assert any("payment.key-expired" in line for line in world.lines)
        # A person's way out that takes no money: cancel, then replay.
        await world.cancel(order_id)
        assert await world.deliver(order_id) == "done"
        assert await world.failure(order_id) == "order-cancelled"
        await world.check(order_id)


async def test_a_charge_found_by_an_old_key_is_stated(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        order_id = await world.place()
        script = Script({(STEPS.index("capture"), "after"): die})
        assert await world.deliver(order_id, script=script, attempts_max=1) == "retrying"
        world.clock.at_s += 3 * 86400
        assert await world.deliver(order_id) == "done"
        await world.check(order_id)
