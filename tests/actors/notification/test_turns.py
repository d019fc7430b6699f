import asyncio

import anyio
import pytest

from actors.notification.turns import Turns


async def test_a_turn_passes_to_who_has_waited_longest_with_what_was_left() -> None:
    closed: list[str] = []
    turns = Turns(1, closed.append)
    taken: list[tuple[int, str | None]] = []

    async def take(number: int) -> None:
        taken.append((number, await turns.take()))

    assert await turns.take() is None
    assert not turns.wanted
    async with anyio.create_task_group() as tasks:
        for number in range(3):
            tasks.start_soon(take, number)
        await anyio.wait_all_tasks_blocked()
        assert turns.wanted
        for left in ("a", None, "c"):
            turns.pass_on(left)
    assert taken == [(0, "a"), (1, None), (2, "c")]
    turns.pass_on("d")
    assert closed == ["d"]
    assert await turns.take() is None


async def waiting_for(turns: Turns[str]) -> asyncio.Task[str | None]:
    """Return a task that waits for its turn."""
    task = asyncio.ensure_future(turns.take())
    await anyio.wait_all_tasks_blocked()
    return task


async def left_by(task: asyncio.Task[str | None]) -> None:
    """Cancel the task, whether its turn has come or not."""
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("come", [False, True])
async def test_who_goes_away_takes_no_turn_with_him(come: bool) -> None:
    closed: list[str] = []
    turns = Turns(1, closed.append)
    await turns.take()
    leaving, staying = await waiting_for(turns), await waiting_for(turns)
    if come:
        turns.pass_on("a")
    await left_by(leaving)
    if not come:
        turns.pass_on("a")
    assert await staying == "a"
    turns.pass_on(None)
    assert closed == []
    assert await turns.take() is None


async def test_what_was_left_to_one_who_went_away_is_closed_where_nobody_waits() -> None:
    closed: list[str] = []
    turns = Turns(1, closed.append)
    await turns.take()
    leaving = await waiting_for(turns)
    turns.pass_on("a")
    await left_by(leaving)
    assert closed == ["a"]
    assert await turns.take() is None
