"""Too many marks become few, what matters stays, and it is said."""

from sim.report.folding import folded
from tests.sim.report.scenes import mark, scene


def test_a_small_scene_stays_as_it_is() -> None:
    small = scene([mark(float(n)) for n in range(50)])
    assert folded(small) is small


def test_many_marks_become_few_with_a_note() -> None:
    marks = [mark(n / 400, lane=("broker", "payment")[n % 2], step=n + 1) for n in range(20_000)]
    few = folded(scene(marks, end_s=50.0), 1000)
    assert len(few.marks) <= 1000
    assert sum(one.count for one in few.marks) == 20_000
    assert "20000 of 20000 marks are folded" in few.folded


def test_failures_faults_and_the_focused_order_are_not_folded() -> None:
    dull = [mark(n / 400, step=n + 1) for n in range(6_000)]
    flag = mark(7.0, shape="flag", tone="bad", order=3, label="broken")
    kept = [flag, mark(6.0, order=3, label="its"), mark(5.0, tone="fault", lane="faults")]
    few = folded(scene([*dull, *kept], focus=flag), 500)
    assert [one for one in few.marks if one in kept] == sorted(kept, key=lambda one: one.step)
