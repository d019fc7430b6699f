"""Orders as operators look for them: filters, counts, pages and figures over a real store."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from actors.domain.operating import Figures, OrdersFound
from actors.order_events.searching import LATE_S, Search, figures, search
from tests.harness.gateway import NOW_S, PREPARED, World, gateway_world

NOW_MS = int(NOW_S * 1000)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    """A gateway over a real store, on a clock that is moved by hand."""
    async with gateway_world(tmp_path) as world:
        yield world


async def found(world: World, now_ms: int = NOW_MS, **wanted: object) -> OrdersFound:
    asked = partial(search, wanted=Search(**wanted), now_ms=now_ms)  # type: ignore[arg-type]
    return await world.parts.database.read(asked)


async def counted(world: World, now_ms: int = NOW_MS) -> Figures:
    return await world.parts.database.read(partial(figures, now_ms=now_ms))


async def test_pages_tell_how_many_there_are_and_miss_none(world: World) -> None:
    placed = [(await world.place()).reply["number"] for _ in range(5)]
    first = await found(world, limit=2)
    second = await found(world, limit=2, before=first.data[-1].number)
    third = await found(world, limit=2, before=second.data[-1].number)
    assert [page.total for page in (first, second, third)] == [5, 5, 5]
    rows = [*first.data, *second.data, *third.data]
    assert [row.number for row in rows] == placed[::-1]


async def test_only_what_a_service_of_ours_is_to_act_on_is_late(world: World) -> None:
    waiting, prepared = await world.place(), await world.place()
    await world.advance(prepared.id, *PREPARED)
    failed = await world.place()
    await world.advance(failed.id, "payment-auth-in-progress", "payment-auth-failed")
    early, late = NOW_MS + LATE_S * 1000 - 1, NOW_MS + LATE_S * 1000
    assert (await found(world, early, idle_s=LATE_S)).total == 0
    assert [row.id for row in (await found(world, late, idle_s=LATE_S)).data] == [waiting.id]
    assert ((await counted(world, early)).late, (await counted(world, late)).late) == (0, 1)


async def test_orders_are_narrowed_by_when_they_were_placed_and_tell_what_happened_last(
    world: World,
) -> None:
    await world.place()
    world.clock.now_s += 3600
    later, prepared = await world.place(), await world.place()
    await world.advance(prepared.id, *PREPARED)
    since = await found(world, since_ms=int(world.clock.now_s * 1000))
    assert (since.total, [row.last_event for row in since.data]) == (
        2,
        ["shipping-prepared", "order-created"],
    )
    assert since.data[1].id == later.id
    assert (await found(world, since_ms=NOW_MS)).total == 3


async def test_a_refund_that_is_owed_is_late_too(world: World) -> None:
    order = await world.place()
    await world.advance(order.id, "payment-auth-in-progress", "payment-captured")
    path = f"{order.path}/cancellation"
    assert (await world.call("POST", path, {}, order.auth)).status == 200
    late = NOW_MS + LATE_S * 1000
    assert [row.status for row in (await found(world, late, idle_s=LATE_S)).data] == ["cancelled"]


async def test_figures_count_and_measure(world: World) -> None:
    empty = await counted(world)
    assert (empty.total, empty.measured, empty.p50_ms, empty.p99_ms) == (0, 0, None, None)
    for took_s in (1, 2, 10):
        order = await world.place()
        await world.advance(order.id, *PREPARED)
        world.clock.now_s += took_s
        await world.shipments.shipped(order.id, "DHL", "JD0123", "req_1")
    seen = await counted(world, int(world.clock.now_s * 1000))
    assert (seen.total, seen.by_status, seen.placed_last_minute) == (3, {"shipped": 3}, 3)
    assert (seen.measured, seen.p50_ms, seen.p99_ms) == (3, 2000, 10_000)
    world.clock.now_s += 60
    assert (await counted(world, int(world.clock.now_s * 1000))).placed_last_minute == 0
