from bench.compare import FASTER, SAME, SLOWER, Change
from bench.sample import Spread


def change(before: Spread, after: Spread) -> Change:
    return Change(case="ask", contender="ordermill", role="ours", before=before, after=after)


def test_rounds_that_overlap_are_the_same() -> None:
    assert change(Spread(10, 8, 12), Spread(11, 11, 13)).verdict == SAME


def test_rounds_that_are_all_above_are_slower() -> None:
    found = change(Spread(10, 8, 11), Spread(12, 11.5, 13))
    assert found.verdict == SLOWER
    assert round(found.percent) == 20


def test_rounds_that_are_all_below_are_faster() -> None:
    assert change(Spread(10, 8, 11), Spread(6, 5, 7)).verdict == FASTER
