"""The built-in provider: keys, cards and books that survive a restart."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from actors.domain.cards import TEST_CARDS
from actors.domain.values import Money
from actors.payment import sandbox as sandbox_module
from actors.payment.provider import Authorised, Captured, Declined, KeyConflict, Refunded, Voided
from actors.payment.sandbox import SandboxProvider, open_sandbox
from actors.payment.sandbox_books import Personality
from runtime.errors import Unavailable, Unprocessable
from runtime.host import production_host
from tests.actors.payment.world import SetClock

PRICE = Money(4890, "EUR")
BOTH: tuple[Personality, ...] = ("stores-all", "stores-success")


@asynccontextmanager
async def sandbox(
    folder: Path, personality: Personality = "stores-all", clock: SetClock | None = None
) -> AsyncIterator[SandboxProvider]:
    host = replace(production_host(folder), clock=clock or SetClock())
    async with open_sandbox(host, personality) as provider:
        yield provider


async def authorised(provider: SandboxProvider, key: str = "k") -> str:
    answer = await provider.authorise(key, "pm_card_visa", PRICE, "ord_1")
    assert isinstance(answer, Authorised)
    return answer.authorisation_id


async def charged(provider: SandboxProvider, key: str = "c") -> str:
    answer = await provider.capture(key, await authorised(provider), PRICE)
    assert isinstance(answer, Captured)
    return answer.charge_id


@pytest.mark.parametrize("personality", BOTH)
async def test_the_same_key_gives_the_same_answer_and_one_effect(
    tmp_path: Path, personality: Personality
) -> None:
    async with sandbox(tmp_path, personality) as provider:
        first = await charged(provider)
        assert await charged(provider) == first
        refunded = await provider.refund("r", first, PRICE)
        assert await provider.refund("r", first, PRICE) == refunded
        rows = await provider.ledger()
        assert [row.kind for row in rows] == ["authorise", "capture", "refund"]
        assert {(row.order_id, row.token, row.amount) for row in rows} == {
            ("ord_1", "pm_card_visa", 4890)
        }
        assert [row.of for row in rows] == ["", rows[0].id, rows[1].id]
        assert len(await provider.requests()) == 6


async def test_books_and_keys_survive_a_restart(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as provider:
        charge_id = await charged(provider)
    async with sandbox(tmp_path) as provider:
        assert await charged(provider) == charge_id
        assert await provider.lookup("c") == Captured(charge_id)
        assert len(await provider.ledger()) == 2


@pytest.mark.parametrize("personality", BOTH)
async def test_a_key_used_for_another_request_is_refused(
    tmp_path: Path, personality: Personality
) -> None:
    async with sandbox(tmp_path, personality) as provider:
        await authorised(provider)
        with pytest.raises(KeyConflict):
            await provider.authorise("k", "pm_card_visa", Money(1, "EUR"), "ord_1")
        with pytest.raises(KeyConflict):
            await provider.authorise("k", "pm_card_visa", PRICE, "ord_2")
        with pytest.raises(KeyConflict):
            await provider.void("k", "auth_1")
        assert len(await provider.ledger()) == 1


async def test_a_key_is_forgotten_after_a_day_and_then_charges_again(tmp_path: Path) -> None:
    clock = SetClock()
    async with sandbox(tmp_path, clock=clock) as provider:
        first = await authorised(provider)
        clock.at_s += 86399
        assert await authorised(provider) == first
        clock.at_s += 1
        second = await authorised(provider)
        assert second != first
        assert await provider.lookup("k") == Authorised(second)


@pytest.mark.parametrize(
    ("personality", "known"), [("stores-all", True), ("stores-success", False)]
)
async def test_a_decline_is_remembered_by_one_personality_only(
    tmp_path: Path, personality: Personality, *, known: bool
) -> None:
    async with sandbox(tmp_path, personality) as provider:
        declined = await provider.authorise("k", "pm_card_declined", PRICE, "ord_1")
        assert declined == Declined("card_declined")
        assert await provider.lookup("k") == (declined if known else None)
        if known:
            with pytest.raises(KeyConflict):
                await provider.authorise("k", "pm_card_visa", PRICE, "ord_1")
        else:
            answer = await provider.authorise("k", "pm_card_visa", PRICE, "ord_1")
            assert isinstance(answer, Authorised)


async def test_a_key_that_is_being_worked_on_conflicts_or_waits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def answers_of_two_at_once(personality: Personality) -> list[object]:
        answers: list[object] = []
        async with sandbox(tmp_path / personality, personality) as provider:

            async def ask() -> None:
                try:
                    answers.append(await provider.authorise("k", "pm_card_slow", PRICE, "ord_1"))
                except Unavailable:
                    answers.append("409")

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                tasks.start_soon(ask)
            assert len(await provider.ledger()) == 1
        return answers

    monkeypatch.setattr(sandbox_module, "SLOW_S", 0.01)
    refused, answer = await answers_of_two_at_once("stores-all")
    assert refused == "409"
    assert isinstance(answer, Authorised)
    first, second = await answers_of_two_at_once("stores-success")
    assert first == second


async def test_a_slow_card_that_nobody_waits_for_any_more_was_not_charged(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as provider:
        with anyio.move_on_after(0.01):
            await provider.authorise("k", "pm_card_slow", PRICE, "ord_1")
        assert await provider.lookup("k") is None
        assert await provider.ledger() == []


async def test_a_flaky_card_counts_across_restarts(tmp_path: Path) -> None:
    for _ in range(2):
        async with sandbox(tmp_path) as provider:
            with pytest.raises(Unavailable):
                await provider.authorise("k", "pm_card_flaky", PRICE, "ord_1")
    async with sandbox(tmp_path) as provider:
        answer = await provider.authorise("k", "pm_card_flaky", PRICE, "ord_1")
        assert isinstance(answer, Authorised)


async def test_every_test_card_does_what_its_effect_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox_module, "SLOW_S", 0.0)
    async with sandbox(tmp_path) as provider:
        for card in TEST_CARDS:
            try:
                answer = await provider.authorise(card.token, card.token, PRICE, "ord_1")
            except (Unavailable, Unprocessable) as error:
                seen = type(error).__name__
            else:
                declined = isinstance(answer, Declined)
                seen = f"declined: {answer.reason}" if declined else "approved"  # type: ignore[union-attr]
            expected = {"pm_card_flaky": "Unavailable", "pm_card_poison": "Unprocessable"}
            assert card.effect.startswith(expected.get(card.token, seen)) or (
                seen == expected.get(card.token)
            ), card.token
        unknown = await provider.authorise("other", "pm_stolen", PRICE, "ord_1")
        assert unknown == Declined("unknown_card")


async def test_a_void_and_a_capture_exclude_each_other(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as provider:
        voided = await authorised(provider, "a1")
        assert await provider.void("v1", voided) == Voided()
        assert await provider.capture("c1", voided, PRICE) == Declined("authorisation_not_open")
        taken = await authorised(provider, "a2")
        captured = await provider.capture("c2", taken, PRICE)
        assert await provider.void("v2", taken) == captured
        assert await provider.capture("c3", taken, PRICE) == Declined("authorisation_not_open")


async def test_what_does_not_exist_cannot_be_captured_voided_or_refunded(tmp_path: Path) -> None:
    async with sandbox(tmp_path) as provider:
        authorisation = await authorised(provider)
        assert await provider.capture("c", "auth_9", PRICE) == Declined("no_such_object")
        for request in (
            provider.void("v", "auth_9"),
            provider.refund("r1", "ch_9", PRICE),
            provider.refund("r2", authorisation, PRICE),
        ):
            with pytest.raises(Unprocessable):
                await request
        assert len(await provider.ledger()) == 1


async def test_it_does_not_save_a_merchant_from_refunding_twice(tmp_path: Path) -> None:
    """The books are the oracle: they must show a mistake, not hide it."""
    async with sandbox(tmp_path) as provider:
        charge_id = await charged(provider)
        first = await provider.refund("r1", charge_id, PRICE)
        second = await provider.refund("r2", charge_id, PRICE)
        assert isinstance(first, Refunded)
        assert first != second
