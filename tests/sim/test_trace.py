"""A trace: what its hash depends on, and what not."""

import pytest

from sim.trace import Trace

MANY = 10_000


def _written(*, keep: bool = True, look: bool = False, other: int = 0) -> Trace:
    """Write many steps and events; ``other`` is the number of a step that is another one."""
    trace = Trace(keep=keep)
    for number in range(1, MANY):
        trace.ran("another" if number == other else "callback")
        trace.ran(number)
        if number % 3 == 0:
            trace.note(number / 10, "kind", "fact", number, b"bytes")
        if look:
            trace.digest()
    return trace


@pytest.mark.parametrize("how", [{"keep": False}, {"look": True}], ids=["unkept", "looked-at"])
def test_the_hash_is_the_same_whether_events_are_kept_and_whoever_looks(
    how: dict[str, bool],
) -> None:
    assert _written(**how).digest() == _written().digest()  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [1, 5_000, MANY - 1])
def test_one_step_that_differs_shows_in_the_hash(number: int) -> None:
    assert _written(other=number).digest() != _written().digest()


def test_one_step_that_differs_shows_in_every_event_after_it() -> None:
    one, other = _written().events, _written(other=5_000).events
    assert [left == right for left, right in zip(one, other, strict=True)] == [
        event.at < 500 for event in one
    ]
