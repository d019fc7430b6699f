import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from contextvars import ContextVar

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.endings import StrayCancellation
from runtime.errors import MailboxClosed, MailboxFull, StoreBroken
from runtime.lanes import Lanes

Item = tuple[str, int]
CONTEXT: ContextVar[str] = ContextVar("context")


def lanes_of(lanes: int = 4, capacity: int = 64, key_max: int = 16) -> Lanes[Item]:
    return Lanes(lanes=lanes, capacity=capacity, key=lambda item: item[0], key_max=key_max)


async def settle() -> None:
    for _ in range(8):
        await checkpoint()


@asynccontextmanager
async def running(
    lanes: Lanes[Item], handle: Callable[[Item], Awaitable[None]]
) -> AsyncIterator[None]:
    async with anyio.create_task_group() as group:
        group.start_soon(lanes.run, handle)
        with anyio.fail_after(10):
            yield
            lanes.close()


class Gate:
    """A handler whose items wait until they are let through."""

    def __init__(self) -> None:
        self.begun: list[Item] = []
        self.done: list[Item] = []
        self._open: dict[Item, anyio.Event] = defaultdict(anyio.Event)

    async def __call__(self, item: Item) -> None:
        self.begun.append(item)
        await self._open[item].wait()
        self.done.append(item)

    def let(self, *items: Item) -> None:
        for item in items:
            self._open[item].set()


async def test_items_of_one_key_run_one_at_a_time_and_in_order() -> None:
    lanes, gate = lanes_of(), Gate()
    async with running(lanes, gate):
        for n in range(3):
            lanes.put_nowait(("a", n))
        await settle()
        assert gate.begun == [("a", 0)]
        gate.let(("a", 0))
        await settle()
        assert gate.begun == [("a", 0), ("a", 1)]
        gate.let(("a", 1), ("a", 2))
        await settle()
        assert gate.done == [("a", 0), ("a", 1), ("a", 2)]


async def test_a_slow_key_stalls_nobody_else() -> None:
    lanes, gate = lanes_of(lanes=2), Gate()
    async with running(lanes, gate):
        lanes.put_nowait(("slow", 0))
        lanes.put_nowait(("slow", 1))
        for n in range(5):
            lanes.put_nowait((f"k{n}", 0))
            gate.let((f"k{n}", 0))
        await settle()
        assert gate.done == [(f"k{n}", 0) for n in range(5)]
        gate.let(("slow", 0), ("slow", 1))


async def test_at_most_so_many_keys_run_at_once() -> None:
    lanes, gate = lanes_of(lanes=3), Gate()
    async with running(lanes, gate):
        for n in range(7):
            lanes.put_nowait((f"k{n}", 0))
        await settle()
        assert len(gate.begun) == lanes.statistics().running == 3
        gate.let(*((f"k{n}", 0) for n in range(7)))
        await settle()
        assert len(gate.done) == 7


async def test_a_key_with_a_backlog_goes_to_the_back_of_the_line() -> None:
    lanes, gate = lanes_of(lanes=1), Gate()
    items = [("a", 0), ("a", 1), ("b", 0)]
    gate.let(*items)
    for item in items:
        lanes.put_nowait(item)
    async with running(lanes, gate):
        await settle()
    assert gate.done == [("a", 0), ("b", 0), ("a", 1)]


async def test_one_key_gets_no_more_than_its_share() -> None:
    lanes, gate = lanes_of(capacity=4, key_max=2), Gate()
    async with running(lanes, gate):
        lanes.put_nowait(("a", 0))
        await settle()
        lanes.put_nowait(("a", 1))
        with pytest.raises(MailboxFull, match="2 a key"):
            lanes.put_nowait(("a", 2))
        lanes.put_nowait(("b", 0))
        gate.let(("a", 0))
        await settle()
        lanes.put_nowait(("a", 2))
        gate.let(("a", 1), ("a", 2), ("b", 0))
        await settle()
        assert lanes.statistics().depth == 0


async def test_the_capacity_holds_over_all_keys() -> None:
    lanes = lanes_of(capacity=3, key_max=3)
    for n in range(3):
        lanes.put_nowait((f"k{n}", 0))
    with pytest.raises(MailboxFull, match="3 items"):
        lanes.put_nowait(("k3", 0))
    figures = lanes.statistics()
    assert (figures.depth, figures.keys, figures.accepted, figures.rejected) == (3, 3, 3, 1)


async def test_a_key_that_cannot_be_told_is_the_callers_error() -> None:
    def refuse(item: Item) -> str:
        raise ValueError("no key")

    lanes = Lanes(lanes=1, capacity=1, key=refuse, key_max=1)
    with pytest.raises(ValueError, match="no key"):
        lanes.put_nowait(("a", 0))
    assert lanes.statistics().depth == 0


async def test_close_lets_what_runs_finish_and_starts_nothing() -> None:
    lanes, gate = lanes_of(lanes=1), Gate()
    ended = anyio.Event()

    async def run() -> None:
        await lanes.run(gate)
        ended.set()

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        for item in (("a", 0), ("a", 1), ("b", 0)):
            lanes.put_nowait(item)
        await settle()
        lanes.close()
        with pytest.raises(MailboxClosed):
            lanes.put_nowait(("c", 0))
        await settle()
        assert not ended.is_set()
        gate.let(("a", 0), ("a", 1), ("b", 0))
    assert gate.begun == gate.done == [("a", 0)]


async def test_closing_idle_lanes_ends_the_run() -> None:
    async with running(lanes_of(), Gate()):
        await settle()


async def test_closing_before_the_run_ends_it_at_once() -> None:
    lanes = lanes_of()
    lanes.put_nowait(("a", 0))
    lanes.close()
    gate = Gate()
    await lanes.run(gate)
    assert gate.begun == []


@pytest.mark.parametrize("error", [ValueError("planted"), StoreBroken("planted")])
async def test_a_handler_that_raises_crashes_the_run_with_its_own_error(
    error: BaseException,
) -> None:
    lanes = lanes_of()
    cancelled: list[str] = []

    async def handle(item: Item) -> None:
        if item == ("bad", 0):
            await checkpoint()
            raise error
        try:
            await anyio.sleep_forever()
        finally:
            cancelled.append(item[0])

    for key in ("a", "b", "bad", "c"):
        lanes.put_nowait((key, 0))
    with pytest.raises(type(error)) as caught:
        await lanes.run(handle)
    assert caught.value is error
    assert cancelled == ["a", "b", "c"]
    with pytest.raises(MailboxClosed):
        lanes.put_nowait(("d", 0))


async def test_after_a_crash_one_handler_ends_before_the_next_is_cancelled() -> None:
    lanes = lanes_of()
    log: list[str] = []

    async def handle(item: Item) -> None:
        if item[0] == "bad":
            raise ValueError("planted")
        try:
            await anyio.sleep_forever()
        finally:
            log.append(f"cancelled {item[0]}")
            with anyio.CancelScope(shield=True):
                await settle()
            log.append(f"ended {item[0]}")

    for key in ("a", "b", "bad"):
        lanes.put_nowait((key, 0))
    with pytest.raises(ValueError, match="planted"):
        await lanes.run(handle)
    assert log == ["cancelled a", "ended a", "cancelled b", "ended b"]


async def test_a_stray_cancellation_is_a_crash_and_not_a_silent_end() -> None:
    lanes = lanes_of()

    async def handle(item: Item) -> None:
        raise asyncio.CancelledError

    lanes.put_nowait(("a", 0))
    with pytest.raises(StrayCancellation):
        await lanes.run(handle)


async def test_cancelling_the_run_cancels_the_handlers() -> None:
    lanes, gate = lanes_of(), Gate()
    with anyio.CancelScope() as scope:
        async with anyio.create_task_group() as group:
            group.start_soon(lanes.run, gate)
            lanes.put_nowait(("a", 0))
            await settle()
            scope.cancel()
    assert scope.cancelled_caught
    assert (gate.begun, gate.done) == ([("a", 0)], [])
    assert lanes.statistics().running == 0
    with pytest.raises(MailboxClosed):  # who fills them may end a moment later
        lanes.put_nowait(("b", 0))


@pytest.mark.parametrize(("lanes", "capacity", "key_max"), [(0, 1, 1), (1, 1, 2), (1, 1, 0)])
def test_impossible_limits_are_refused(lanes: int, capacity: int, key_max: int) -> None:
    with pytest.raises(ValueError, match="key_max"):
        lanes_of(lanes, capacity, key_max)


@settings(deadline=None)
@given(
    items=st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, 3)), max_size=40),
    lanes=st.integers(1, 4),
)
def test_order_and_exclusion_hold_for_every_key_under_any_load(
    items: list[Item], lanes: int
) -> None:
    """The number in an item says how many turns of the loop its handler takes."""
    asyncio.run(_check_order(items, lanes))


async def _check_order(items: list[Item], width: int) -> None:
    lanes: Lanes[tuple[str, int, int]] = Lanes(
        lanes=width, capacity=64, key=lambda item: item[0], key_max=64
    )
    running_keys: list[str] = []
    done: list[tuple[str, int, int]] = []

    async def handle(item: tuple[str, int, int]) -> None:
        assert item[0] not in running_keys
        running_keys.append(item[0])
        assert len(running_keys) <= width
        for _ in range(item[1]):
            await checkpoint()
        running_keys.remove(item[0])
        done.append(item)
        if len(done) == len(items):
            lanes.close()

    numbered = [(key, turns, n) for n, (key, turns) in enumerate(items)]
    async with anyio.create_task_group() as group:
        group.start_soon(lanes.run, handle)
        for item in numbered:
            lanes.put_nowait(item)
            if item[1] == 0:
                await checkpoint()
        if not items:
            lanes.close()
    for key in "abcd":
        assert [i for i in done if i[0] == key] == [i for i in numbered if i[0] == key]
    assert lanes.statistics().depth == 0


async def test_a_look_tells_what_is_at_work_and_what_waits_and_takes_nothing() -> None:
    lanes, gate = lanes_of(lanes=2), Gate()
    async with running(lanes, gate):
        items = [("a", 0), ("a", 1), ("b", 0), ("c", 0), ("c", 1)]
        for item in items:
            lanes.put_nowait(item)
        await settle()
        at_work = [(("a", 0), True), (("b", 0), True)]
        waiting = [(("a", 1), False), (("c", 0), False), (("c", 1), False)]
        assert lanes.peek(20) == at_work + waiting
        assert lanes.peek(3) == at_work + waiting[:1]
        assert lanes.peek(1) == at_work[:1]
        gate.let(*items)
        await settle()
        assert lanes.peek(20) == []
        assert sorted(gate.done) == items


async def test_a_lane_works_in_the_context_of_who_runs_the_lanes() -> None:
    lanes, seen = lanes_of(), []

    async def handle(_: Item) -> None:
        seen.append(CONTEXT.get())

    CONTEXT.set("runner")
    async with running(lanes, handle):
        await settle()
        CONTEXT.set("sender")
        lanes.put_nowait(("a", 0))
        await settle()
    assert seen == ["runner"]
