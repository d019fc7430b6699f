"""The journal of calls, and what is parked instead of being asked a second time."""

from functools import partial
from pathlib import Path

import anyio
import pytest

from actors.domain.values import Money
from actors.payment import calls as calls_module
from actors.payment import journal
from actors.payment.provider import Authorised, Captured, Declined, Outcome, Refunded
from runtime.errors import Unavailable, Unprocessable
from tests.actors.payment.world import World, payment_world

PRICE = Money(4890, "EUR")


async def authorise(world: World, amount: Money, *, resumed: bool) -> Authorised | Declined:
    desk = world.desk()
    calls = await desk.calls("ord_1", resumed=resumed)
    call = calls.call("authorise", "k", amount, 2)
    outcome = await calls.make(
        call, lambda: desk.provider.authorise("k", "pm_card_visa", amount, "ord_1")
    )
    await calls.write_down()
    return outcome


async def test_an_outcome_that_was_written_down_is_known_without_asking(tmp_path: Path) -> None:
    async with payment_world(tmp_path) as world:
        outcome = await authorise(world, PRICE, resumed=False)
        row = (await world.database.read(partial(journal.calls_of, order_id="ord_1")))["k"]
        assert (row.amount, row.payment_version, row.outcome) == (PRICE, 2, outcome)
        again = await world.desk().calls("ord_1", resumed=True)
        assert await again.known("k") == outcome
        assert await again.known("other") is None


@pytest.mark.parametrize(
    "outcome", [Authorised("auth_1"), Captured("ch_1"), Declined("no"), Refunded("re_1")]
)
async def test_every_outcome_comes_back_as_it_was(tmp_path: Path, outcome: Outcome) -> None:
    async with payment_world(tmp_path) as world:
        await authorise(world, PRICE, resumed=False)
        await world.database.write(partial(journal.answered, answers={"k": outcome}))
        rows = await world.database.read(partial(journal.calls_of, order_id="ord_1"))
        assert rows["k"].outcome == outcome


async def test_the_same_key_for_another_amount_is_parked_before_the_provider_sees_it(
    tmp_path: Path,
) -> None:
    async with payment_world(tmp_path) as world:
        await authorise(world, PRICE, resumed=False)
        with pytest.raises(Unprocessable) as parked:
            await authorise(world, Money(1, "EUR"), resumed=True)
        assert parked.value.reason == "provider-key-conflict"
        assert len(await world.sandbox.requests()) == 1


async def test_a_provider_that_finds_a_key_in_use_for_something_else_parks_too(
    tmp_path: Path,
) -> None:
    async with payment_world(tmp_path) as world:
        await world.sandbox.authorise("k", "pm_card_visa", Money(1, "EUR"), "ord_1")
        with pytest.raises(Unprocessable) as parked:
            await authorise(world, PRICE, resumed=True)
        assert parked.value.reason == "provider-key-conflict"


async def test_a_provider_that_does_not_answer_leaves_the_outcome_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls_module, "CALL_S_MAX", 0.01)
    async with payment_world(tmp_path) as world:
        calls = await world.desk().calls("ord_1", resumed=False)

        async def hang() -> Authorised:
            await anyio.sleep_forever()
            raise AssertionError

        with pytest.raises(Unavailable, match="did not answer"):
            await calls.make(calls.call("authorise", "k", PRICE, 2), hang)
        assert 'result="unknown"' in world.telemetry.render().decode()
        assert await world.database.read(journal.open_orders) == ["ord_1"]
