"""The load generator on a clock that the test moves."""

from collections.abc import Iterator

import pytest
from anyio.lowlevel import checkpoint

from bench import load
from bench.load import at_rate, closed, drive


class Clock:
    """Stands in for the module's clock and sleep: time passes only where somebody waits."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()

    async def sleep(seconds: float) -> None:
        until = clock.now + seconds
        await checkpoint()
        clock.now = max(clock.now, until)

    monkeypatch.setattr(load, "time", clock)
    monkeypatch.setattr(load.anyio, "sleep", sleep)
    return iter([clock])


async def test_a_closed_loop_keeps_so_many_open() -> None:
    busy, most, done = 0, 0, []

    async def operate(number: int) -> None:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await checkpoint()
        busy -= 1
        done.append(number)

    latencies = await drive(closed(3), 10, operate)
    assert most == 3
    assert sorted(done) == list(range(10))
    assert len(latencies) == 10


async def test_an_open_loop_begins_on_its_schedule(clock: Iterator[Clock]) -> None:
    time = next(clock)
    begun = []

    async def operate(number: int) -> None:
        begun.append((number, time.now))

    await drive(at_rate(10.0), 4, operate)
    assert begun == [(number, pytest.approx(number / 10)) for number in range(4)]


async def test_a_stall_is_charged_to_all_who_would_have_come(clock: Iterator[Clock]) -> None:
    time = next(clock)

    async def operate(number: int) -> None:
        if number == 0:
            time.now += 1.0  # the system stands still: nobody else gets in meanwhile

    latencies = await drive(at_rate(10.0), 4, operate)
    assert latencies == pytest.approx([1.0, 0.9, 0.8, 0.7])


async def test_what_fails_fails_the_run() -> None:
    async def operate(number: int) -> None:
        raise ValueError(number)

    with pytest.raises(ExceptionGroup):
        await drive(closed(2), 3, operate)
