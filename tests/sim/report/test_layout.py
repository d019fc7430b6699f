"""Where marks go: time becomes distance in order, and labels of one row do not meet."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sim.report.layout import LETTER, ROW_HEIGHT, Axis, Scale, place
from sim.report.scene import LANES
from tests.sim.report.scenes import mark

TIMES = st.lists(st.floats(0, 100), min_size=1, max_size=60)


@given(TIMES, st.sampled_from(["step", "time"]))
def test_later_is_never_left_of_earlier(times: list[float], axis: Axis) -> None:
    scale = Scale(times, 100.0, 900.0, axis)
    places = [scale.x(at) for at in sorted(times)]
    assert places == sorted(places)
    assert all(100.0 <= x <= 900.0 for x in places)


def test_on_the_step_axis_a_burst_has_as_much_room_as_a_wait() -> None:
    scale = Scale([1.0, 1.001, 9.0], 0.0, 100.0, "step")
    assert [scale.x(at) for at in (1.0, 1.001, 9.0)] == pytest.approx([0.0, 50.0, 100.0])
    assert scale.x(5.0005) == pytest.approx(75.0)


def test_on_the_time_axis_distance_is_time() -> None:
    scale = Scale([0.0, 1.0, 10.0], 0.0, 100.0, "time")
    assert scale.x(1.0) == pytest.approx(10.0)


@given(TIMES)
def test_labels_in_one_row_do_not_meet(times: list[float]) -> None:
    marks = [(n, mark(at)) for n, at in enumerate(sorted(times))]
    _, placed = place(LANES, marks, Scale(times, 100.0, 1500.0, "step"), 0.0)
    rows: dict[float, float] = {}
    for one in placed:
        if one.labelled:
            assert rows.get(one.y, 0.0) <= one.x
            rows[one.y] = one.right + LETTER * len(one.mark.label)


def test_lanes_are_as_high_as_their_marks_need_and_do_not_overlap() -> None:
    marks = [(n, mark(1.0)) for n in range(5)]
    bands, placed = place(LANES, marks, Scale([1.0], 100.0, 900.0, "step"), 10.0)
    assert bands[0].top == 10.0
    assert all(one.top + one.height == other.top for one, other in pairwise(bands))
    log = next(band for band in bands if band.lane == "order-events")
    assert log.height >= 5 * ROW_HEIGHT
    assert all(log.top < one.y < log.top + log.height for one in placed)
