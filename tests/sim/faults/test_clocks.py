"""Wall clocks that jump or are wrong: times in the books move, nothing else does."""

import pytest

from tests.sim.faults.small import strike


@pytest.mark.parametrize("by_s", [-3600.0, -0.5, 3600.0])
@pytest.mark.parametrize("target", ["shop", "provider"])
def test_a_clock_that_jumps_loses_nothing(target: str, by_s: float) -> None:
    struck = strike("wall-jump", target, by_s=by_s)
    assert struck.effects == {"wall-jump": 1}
    assert struck.breaches == []


def test_a_clock_that_is_wrong_stays_wrong() -> None:
    struck = strike("wall-skew", "shop", by_s=-900.0)
    assert struck.running.world.nodes["shop"].clock.skew_s == -900.0
    assert struck.breaches == []
