"""The virtual loop: time, choice, life and death."""

import asyncio
import gc
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import CoroutineType
from typing import Any

import anyio
import pytest

from sim.incarnation import Incarnation
from sim.loop import OutOfSteps, OutOfTime, Stalled, VirtualLoop
from sim.refusals import Refused
from sim.seed import Seed
from sim.trace import Trace


def play(
    main: Callable[[VirtualLoop], Coroutine[Any, Any, Any]], seed: int = 1, **limits: Any
) -> tuple[Any, VirtualLoop, str]:
    """Run ``main`` in a loop of its own; return its result, the loop, and the trace's hash."""
    trace = Trace()
    loop = VirtualLoop(Seed(seed).stream("sched"), trace, **{"steps_max": 100_000, **limits})
    asyncio.set_event_loop(loop)
    try:
        result = loop.run_until_complete(main(loop))
        trace.note(loop.time(), "end")
        return result, loop, trace.digest()
    finally:
        loop.finish()
        asyncio.set_event_loop(None)


def test_time_jumps_to_the_next_timer_and_stands_still_otherwise() -> None:
    async def main(loop: VirtualLoop) -> list[float]:
        seen = [loop.time()]
        await asyncio.sleep(3600)
        seen.append(loop.time())
        return seen

    (before, after), loop, _ = play(main)
    assert before < 0.01
    assert 3600 <= after < 3600.01
    assert loop.steps < 10


def test_what_polls_by_callbacks_does_not_stop_the_clock() -> None:
    async def main(loop: VirtualLoop) -> int:
        turns = 0

        def again() -> None:
            nonlocal turns
            turns += 1
            loop.call_soon(again)

        loop.call_soon(again)
        await asyncio.sleep(0.1)
        return turns

    turns, _, _ = play(main)
    assert 100 < turns < 10_000


async def _two_workers_lose_an_update() -> int:
    value = 0

    async def worker() -> None:
        nonlocal value
        await asyncio.sleep(0)
        seen = value
        await asyncio.sleep(0)
        value = seen + 1

    await asyncio.gather(worker(), _later(worker))
    return value


async def _later(work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    for _ in range(4):
        await asyncio.sleep(0)
    await work()


def test_the_order_of_tasks_is_a_choice_of_the_seed() -> None:
    results = {play(lambda _: _two_workers_lose_an_update(), seed)[0] for seed in range(60)}
    assert results == {1, 2}  # some seeds lose the update, most do not


def test_plain_callbacks_of_one_owner_stay_in_order() -> None:
    async def main(loop: VirtualLoop) -> list[int]:
        seen: list[int] = []
        for number in range(50):
            loop.call_soon(seen.append, number)
        await asyncio.sleep(1)
        return seen

    for seed in range(20):
        assert play(main, seed)[0] == list(range(50))


def test_the_same_seed_gives_the_same_trace_and_another_seed_another() -> None:
    async def main(loop: VirtualLoop) -> None:
        await asyncio.gather(*(_later(lambda: asyncio.sleep(0.01)) for _ in range(10)))

    hashes = [play(main, seed)[2] for seed in (5, 5, 6)]
    assert hashes[0] == hashes[1] != hashes[2]


def test_nothing_of_a_dead_incarnation_runs_again_not_even_its_finally() -> None:
    async def main(loop: VirtualLoop) -> list[str]:
        seen: list[str] = []

        async def work() -> None:
            try:
                seen.append("begun")
                await asyncio.sleep(10)
                seen.append("done")
            finally:
                seen.append("finally")

        victim = Incarnation("node", 1)
        victim.spawn(work())
        victim.context.run(loop.call_later, 5, seen.append, "timer")
        await asyncio.sleep(1)
        loop.kill(victim)
        await asyncio.sleep(60)
        return list(seen)

    assert play(main)[0] == ["begun"]


def test_a_frozen_incarnation_finds_everything_due_when_it_thaws() -> None:
    async def main(loop: VirtualLoop) -> list[tuple[str, float]]:
        seen: list[tuple[str, float]] = []

        async def work() -> None:
            await asyncio.sleep(1)
            seen.append(("first", loop.time()))
            await asyncio.sleep(1)
            seen.append(("second", loop.time()))

        victim = Incarnation("node", 1)
        victim.spawn(work())
        await asyncio.sleep(0.5)
        loop.freeze(victim)
        await asyncio.sleep(30)
        assert seen == []
        loop.thaw(victim)
        await asyncio.sleep(30)
        return seen

    (first, at_first), (second, at_second) = play(main)[0]
    assert (first, second) == ("first", "second")
    assert 30.5 <= at_first < 30.6
    assert 31.5 <= at_second < 31.6


def test_an_error_that_nobody_awaits_is_a_mishap() -> None:
    async def main(loop: VirtualLoop) -> None:
        async def fail() -> None:
            raise ValueError("nobody hears this")

        task = loop.create_task(fail())
        await asyncio.sleep(1)
        del task

    _, loop, _ = play(main)
    (mishap,) = loop.mishaps
    assert "ValueError" in mishap


def test_what_a_dead_process_leaves_unheard_is_no_mishap() -> None:
    async def main(loop: VirtualLoop) -> None:
        async def fail() -> None:
            raise ValueError("it was dead before anybody could have asked")

        owner = Incarnation("node", 1)
        task = owner.spawn(fail())
        await asyncio.sleep(1)
        loop.kill(owner)
        loop.graveyard.clear()
        del task

    _, loop, _ = play(main)
    assert loop.mishaps == []


def test_an_error_of_a_callback_is_a_mishap_and_the_loop_goes_on() -> None:
    async def main(loop: VirtualLoop) -> str:
        loop.call_soon(lambda: [][0])
        await asyncio.sleep(1)
        return "alive"

    result, loop, _ = play(main)
    assert result == "alive"
    assert "IndexError" in loop.mishaps[0]


def test_a_world_in_which_nothing_can_happen_any_more_says_so() -> None:
    async def main(loop: VirtualLoop) -> None:
        await loop.create_future()

    with pytest.raises(Stalled, match="no timer"):
        play(main)


def test_what_is_buried_leaves_its_scopes_as_a_task_does() -> None:
    """Left elsewhere they raise, and whoever catches that says so on standard error."""
    noted: list[BaseException] = []

    @asynccontextmanager
    async def children() -> AsyncIterator[None]:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)
            yield

    async def wait() -> None:
        async with children():
            with anyio.move_on_after(5):
                await anyio.sleep(100)

    async def request() -> None:
        try:
            await wait()
        except Exception as error:
            noted.append(error)

    async def main(loop: VirtualLoop) -> asyncio.Task[None]:
        task = loop.create_task(request())
        await asyncio.sleep(1)
        return task

    task, loop, _ = play(main)
    loop.bury()
    assert task.get_coro().cr_frame is None, "it was closed"
    assert noted == []
    left = [one for one in gc.get_objects() if isinstance(one, CoroutineType) and one.cr_frame]
    assert [one.__qualname__ for one in left if "TaskGroup" in one.__qualname__] == []


def test_a_run_that_spins_ends_by_its_budget_of_steps() -> None:
    async def main(loop: VirtualLoop) -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(OutOfSteps):
        play(main, steps_max=1000)


def test_a_run_that_waits_too_long_ends_by_its_budget_of_virtual_time() -> None:
    async def main(loop: VirtualLoop) -> None:
        while True:
            await asyncio.sleep(10)

    with pytest.raises(OutOfTime, match="95 s"):
        play(main, virtual_s_max=95.0)


@pytest.mark.parametrize(
    "ask",
    [
        lambda loop: loop.run_in_executor(None, print),
        lambda loop: loop.add_reader(0, print),
        lambda loop: loop.add_signal_handler(15, print),
        lambda loop: asyncio.to_thread(print),
        lambda loop: loop.create_connection(asyncio.Protocol, "node", 1, ssl=True),
    ],
    ids=["executor", "reader", "signal", "thread", "tls"],
)
def test_who_asks_for_the_real_world_is_refused(ask: Callable[[Any], Any]) -> None:
    async def main(loop: VirtualLoop) -> None:
        asked = ask(loop)
        if asyncio.iscoroutine(asked):
            await asked

    with pytest.raises(Refused):
        play(main)


def test_something_is_done_before_the_step_that_comes_after_so_many_of_somebody() -> None:
    victim, other = Incarnation("victim", 1), Incarnation("other", 1)

    async def turns(seen: list[str], name: str, count: int) -> None:
        for turn in range(count):
            seen.append(f"{name}{turn}")
            await asyncio.sleep(0)

    async def main(loop: VirtualLoop) -> list[str]:
        seen: list[str] = []
        loop.after_steps(victim, 3, lambda: seen.append("now"))
        loop.after_steps(victim, 5, lambda: loop.after_steps(victim, 0, lambda: seen.append("2nd")))
        loop.after_steps(other, 99, lambda: seen.append("never"))
        tasks = [other.spawn(turns(seen, "o", 9)), victim.spawn(turns(seen, "v", 9))]
        await asyncio.gather(*tasks)
        return seen

    seen, loop, _ = play(main)
    ours = [one for one in seen if not one.startswith("o")]
    assert ours == ["v0", "v1", "v2", "now", "v3", "v4", "v5", "2nd", "v6", "v7", "v8"]
    assert sum(one.startswith("o") for one in seen) == 9
    assert loop.steps > 18


def test_whoever_is_dead_is_not_waited_for_and_steps_are_still_limited() -> None:
    victim = Incarnation("victim", 1)

    async def main(loop: VirtualLoop) -> None:
        loop.after_steps(victim, 3, lambda: None)
        loop.kill(victim)
        while True:
            await asyncio.sleep(0)

    with pytest.raises(OutOfSteps, match="100 steps"):
        play(main, steps_max=100)
