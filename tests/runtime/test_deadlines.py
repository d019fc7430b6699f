import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.deadlines import TICK_S, Deadlines


class FakeClock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self.now


class Waiter:
    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self.expired_at: float | None = None

    def expire(self) -> None:
        assert self.expired_at is None, "expired twice"
        self.expired_at = self._clock.now


async def settle() -> None:
    for _ in range(5):
        await checkpoint()


async def test_a_deadline_fires_once_its_time_has_come() -> None:
    class Signal:
        def __init__(self) -> None:
            self.event = anyio.Event()

        def expire(self) -> None:
            self.event.set()

    class LoopClock(FakeClock):
        def monotonic(self) -> float:
            return anyio.current_time()

    deadlines = Deadlines(LoopClock())
    async with anyio.create_task_group() as group:
        group.start_soon(deadlines.run)
        await settle()
        late, soon, dropped = Signal(), Signal(), Signal()
        deadlines.add(late, 60.0)
        deadlines.drop(dropped, deadlines.add(dropped, 0.001))
        deadlines.add(soon, 0.001)
        with anyio.fail_after(10):
            await soon.event.wait()
        assert not late.event.is_set()
        assert not dropped.event.is_set()
        group.cancel_scope.cancel()
    assert late.event.is_set(), "who still waits when the timer ends is told at once"
    assert not deadlines.running


async def test_nobody_wakes_for_a_deadline_that_was_dropped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pauses: list[float] = []

    async def wait(event: anyio.Event, seconds: float) -> None:
        pauses.append(seconds)
        await event.wait()

    monkeypatch.setattr("runtime.deadlines.wait_at_most", wait)
    clock = FakeClock()
    deadlines = Deadlines(clock)
    dropped, late = Waiter(clock), Waiter(clock)
    async with anyio.create_task_group() as group:
        group.start_soon(deadlines.run)
        await settle()
        deadlines.drop(dropped, deadlines.add(dropped, 1.0))
        deadlines.add(late, 60.0)
        await settle()
        group.cancel_scope.cancel()
    assert pauses == [pytest.approx(60.0, abs=TICK_S)]


def test_dropping_what_has_expired_is_harmless() -> None:
    clock = FakeClock()
    deadlines = Deadlines(clock)
    waiter = Waiter(clock)
    slot = deadlines.add(waiter, 1.0)
    clock.now += 2.0
    deadlines._expire_until(clock.now)
    deadlines.drop(waiter, slot)
    assert waiter.expired_at == clock.now


def test_a_deadline_needs_a_length() -> None:
    clock = FakeClock()
    with pytest.raises(OverflowError):
        Deadlines(clock).add(Waiter(clock), float("inf"))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0, 3), st.floats(0, 5), st.booleans()), min_size=1, max_size=30)
)
def test_no_deadline_fires_early_or_more_than_a_tick_late(
    plan: list[tuple[float, float, bool]],
) -> None:
    """Each row: time passes, a deadline is set, and perhaps dropped again."""
    clock = FakeClock()
    deadlines = Deadlines(clock)
    expected: list[tuple[Waiter, float, bool]] = []
    for elapsed, delay_s, dropped in plan:
        _advance(clock, deadlines, elapsed)
        waiter = Waiter(clock)
        slot = deadlines.add(waiter, delay_s)
        expected.append((waiter, clock.now + delay_s, dropped))
        if dropped:
            deadlines.drop(waiter, slot)
    _advance(clock, deadlines, 20.0)
    for waiter, due, dropped in expected:
        if dropped:
            assert waiter.expired_at is None
        else:
            assert waiter.expired_at is not None
            # Time moves in steps of a quarter tick here, hence the slack at the end.
            assert due - 1e-9 <= waiter.expired_at <= due + TICK_S * 1.26


def _advance(clock: FakeClock, deadlines: Deadlines, seconds: float) -> None:
    end = clock.now + seconds
    while clock.now < end:
        clock.now = min(end, clock.now + TICK_S / 4)
        deadlines._expire_until(clock.now)
