"""Delta debugging, with tests that are functions of the candidate."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from sim.ddmin import minimise


def _run(items: range, fails: Callable[[set[int]], bool]) -> tuple[tuple[int, ...], int]:
    """Return what is left, and how many candidates were tried."""
    rounds, tried = minimise(items), 0
    try:
        candidates = next(rounds)
        while True:
            tried += len(candidates)
            failed = next((one for one in candidates if fails(set(one))), None)
            candidates = rounds.send(failed)
    except StopIteration as end:
        return end.value, tried


@given(st.sets(st.integers(0, 60), max_size=4))
def test_exactly_the_items_that_the_failure_needs_are_left(needed: set[int]) -> None:
    kept, tried = _run(range(61), lambda candidate: needed <= candidate)
    assert set(kept) == needed
    assert tried < 400


def test_nothing_is_left_of_what_has_no_part_in_it() -> None:
    assert _run(range(100), lambda _: True) == ((), 1)


def test_a_failure_that_any_two_of_some_show_keeps_two() -> None:
    kept, _ = _run(range(30), lambda candidate: len(candidate & {3, 9, 21, 25}) >= 2)
    assert len(kept) == 2


def test_no_candidate_is_the_whole_or_is_tried_twice_in_a_round() -> None:
    asked: list[tuple[int, ...]] = []

    def never(candidate: tuple[int, ...]) -> bool:
        asked.append(candidate)
        return False

    rounds = minimise(range(7))
    kept: tuple[int, ...] = ()
    try:
        candidates = next(rounds)
        while True:
            assert len(set(candidates)) == len(candidates)
            assert not any(never(candidate) for candidate in candidates)
            candidates = rounds.send(None)
    except StopIteration as end:
        kept = end.value
    assert kept == tuple(range(7))
    assert kept not in asked
    assert {tuple(set(range(7)) - {one}) for one in range(7)} <= set(asked)
