"""One slow payment delays nobody else's order."""

from pathlib import Path

import anyio
import msgspec
import pytest

from actors.parties import Parties
from actors.payment import calls
from tests.harness.parties import Gate, WilfulProvider
from tests.harness.system import LiveOrder, LiveSystem, live_system

OTHERS = 500
MEANWHILE = 100  # far fewer than 20 seconds are enough for
AT_ONCE = 32


async def place_many(system: LiveSystem, count: int) -> list[LiveOrder]:
    """Place orders over HTTP, some at a time."""
    placed: list[LiveOrder] = []
    limit = anyio.Semaphore(AT_ONCE)

    async def place() -> None:
        async with limit:
            placed.append(await system.place())

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(place)
    return placed


async def test_while_one_payment_takes_20_seconds_other_orders_are_prepared(
    tmp_path: Path,
) -> None:
    async with live_system(tmp_path) as system:
        slow = await system.place("pm_card_slow")
        await slow.wait_for("payment-auth-in-progress")
        others = await place_many(system, MEANWHILE)
        prepared = [await order.wait_for("shipping-prepared") for order in others]
        captured = await slow.wait_for("payment-captured")
        await slow.wait_for("shipping-prepared")
    assert len(prepared) == MEANWHILE
    assert max(event.position for event in prepared) < captured.position


async def test_while_one_payment_is_not_answered_500_other_orders_are_prepared(
    tmp_path: Path, broker_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "CALL_S_MAX", 3600.0)  # nobody gives up in the meantime
    gate, providers = Gate(), []

    def gated(parties: Parties) -> Parties:
        provider = WilfulProvider(parties.provider)
        provider.gates["authorise"] = gate
        providers.append(provider)
        return msgspec.structs.replace(parties, provider=provider)

    async with live_system(tmp_path, broker_url, wrap=gated) as system:
        slow = await system.place()
        await gate.reached.wait()
        del providers[0].gates["authorise"]  # whoever waits there still waits
        others = await place_many(system, OTHERS)
        for order in others:
            await order.wait_for("shipping-prepared")
        assert await slow.types() == ["order-created", "payment-auth-in-progress"]
        gate.open()
        await slow.wait_for("shipping-prepared")
