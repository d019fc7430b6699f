import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.child import Restart
from runtime.restarts import RESTARTED, Ending, RestartBudget, affected

TIMES = st.lists(st.floats(0, 20), min_size=1, max_size=60)


@pytest.mark.parametrize(
    ("restart", "ending", "again"),
    [
        ("permanent", "returned", True),
        ("permanent", "failed", True),
        ("permanent", "cancelled", True),
        ("transient", "returned", False),
        ("transient", "failed", True),
        ("transient", "cancelled", True),
        ("temporary", "returned", False),
        ("temporary", "failed", False),
        ("temporary", "cancelled", False),
    ],
)
def test_who_is_started_again(restart: Restart, ending: Ending, again: bool) -> None:
    assert RESTARTED[restart][ending] is again


def test_whom_a_strategy_fells() -> None:
    assert list(affected("one_for_one", 2, 4)) == [2]
    assert list(affected("rest_for_one", 2, 4)) == [2, 3]
    assert list(affected("one_for_all", 2, 4)) == [0, 1, 2, 3]


def budget(restarts_max: int = 5, window_s: float = 30.0, backoff_s_max: float = 16.0):  # type: ignore[no-untyped-def]
    return RestartBudget(restarts_max, window_s, backoff_s_max, random.Random(1))


@settings(deadline=None)
@given(gaps=TIMES, restarts_max=st.integers(0, 5), window_s=st.floats(1, 30))
def test_no_window_holds_more_restarts_than_permitted(
    gaps: list[float], restarts_max: int, window_s: float
) -> None:
    spent, now, admitted = budget(restarts_max, window_s), 0.0, []
    for gap in gaps:
        now += gap
        recent = [t for t in admitted if t > now - window_s]
        delay = spent.spend(now)
        assert (delay is None) == (len(recent) >= restarts_max)
        if delay is not None:
            admitted.append(now)


def test_each_restart_may_wait_twice_as_long_as_the_one_before() -> None:
    ceilings = [0.0] * 5
    for seed in range(400):
        spent = RestartBudget(5, 30.0, 16.0, random.Random(seed))
        for n in range(5):
            delay = spent.spend(0.0)
            assert delay is not None
            assert 0.0 <= delay <= 2.0**n
            ceilings[n] = max(ceilings[n], delay)
    assert all(ceiling > 0.9 * 2.0**n for n, ceiling in enumerate(ceilings))


def test_after_a_quiet_window_the_delays_are_short_again() -> None:
    spent = budget()
    for _ in range(5):
        assert spent.spend(0.0) is not None
    assert spent.spend(29.9) is None
    delay = spent.spend(30.0)
    assert delay is not None
    assert delay <= 1.0
