"""Shrinking: what goes, what stays, and that what is left was seen to fail."""

import msgspec
import pytest

from sim import shrink
from sim.outcome import Outcome, Task
from sim.plan import Act, Order, Plan, World
from sim.run import Violation
from sim.shrink import NotFailing, Shrinker
from tests.sim.plans import CANCELLED, MUG, kill, plan


def _large() -> Plan:
    orders = tuple(
        Order(
            number=n, at_s=10 + n / 7, items=(*MUG, ("TEA-1", 3)), acts=(Act(do="look"), CANCELLED)
        )
        for n in range(1, 21)
    )
    faults = tuple(kill(n, 12 + n / 3) for n in range(1, 62))
    world = World(shape="apart", settings={"payment.hold_s": 1.5})
    made = plan(7, orders=orders, faults=faults, safety_s=60.0)
    return msgspec.structs.replace(made, world=world)


def _fails_as(name: str, failing: bool) -> list[Violation]:
    other = Violation("something-else", "it never happens", "it did")
    return [other, Violation(name, "it never happens", "it did")] if failing else [other]


def _race(task: Task) -> Outcome:
    """Fail where order 13 is cancelled and faults 5 and 40 hit, under one seed in three."""
    assert task.plan is not None
    faults = {fault.number for fault in task.plan.faults}
    order = next((one for one in task.plan.orders if one.number == 13), None)
    cancelled = order is not None and any(act.do == "cancel" for act in order.acts)
    lucky = task.seed % 3 == 0 or len(task.plan.orders) == 20
    found = _fails_as("refund-completes", {5, 40} <= faults and cancelled and lucky)
    return Outcome(scenario=task.scenario, seed=task.seed, violations=found)


def _told(task: Task) -> Outcome:
    """Fail as `_race` does, and name the order."""
    return msgspec.structs.replace(_race(task), suspects={"refund-completes": [13]})


def test_the_order_that_the_violation_names_is_tried_alone_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(shrink, "perform", _told)
    said: list[str] = []
    task = Task("everything", 6, plan=msgspec.structs.replace(_large(), seed=6))
    shrunk = Shrinker(task, "refund-completes", jobs=2, tell=said.append).run()
    assert said[0].startswith("guess   61 faults, 1 orders")
    assert [order.number for order in shrunk.plan.orders] == [13]
    assert [fault.number for fault in shrunk.plan.faults] == [5, 40]


def test_only_what_the_failure_needs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "perform", _race)
    said: list[str] = []
    task = Task("everything", 7, plan=_large())
    shrunk = Shrinker(task, "refund-completes", jobs=2, tell=said.append).run()
    small = shrunk.plan
    assert shrunk.done
    assert [fault.number for fault in small.faults] == [5, 40]
    assert [order.number for order in small.orders] == [13]
    assert [act.do for act in small.orders[0].acts] == ["cancel"]
    assert small.orders[0].items == MUG
    assert small.world == World()
    assert small.safety_s < 30
    assert small.orders[0].at_s < 3
    assert any(line.startswith("faults") for line in said)


def test_the_small_plan_was_seen_to_fail_in_the_same_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "perform", _race)
    shrunk = Shrinker(Task("everything", 7, plan=_large()), "refund-completes", jobs=2).run()
    again = _race(Task("everything", shrunk.plan.seed, plan=shrunk.plan))
    assert again == shrunk.outcome
    assert "refund-completes" in {found.name for found in again.violations}


def test_the_same_plan_shrinks_to_the_same_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "perform", _race)
    task = Task("everything", 7, plan=_large())
    one, two, three = (Shrinker(task, "refund-completes", jobs=n).run().plan for n in (1, 2, 3))
    assert one == two == three


def test_a_plan_that_fails_in_another_way_is_not_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "perform", _race)
    with pytest.raises(NotFailing):
        Shrinker(Task("everything", 7, plan=_large()), "captured-once", jobs=1).run()


def test_no_time_means_that_what_failed_first_is_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "perform", _race)
    task = Task("everything", 7, plan=_large())
    shrunk = Shrinker(task, "refund-completes", budget_s=0.0, jobs=1).run()
    assert not shrunk.done
    assert shrunk.plan == _large()


def _stuck(task: Task) -> Outcome:
    """Get stuck in one way with fault 5 at work, and in another one without it."""
    assert task.plan is not None
    owed = 5 in {fault.number for fault in task.plan.faults}
    text = "order 1007 (ord_1A): its refund is owed" if owed else "order 1002 (ord_2B): is not seen"
    found = [Violation("comes-to-rest", "it does", text, "liveness")]
    return Outcome(scenario=task.scenario, seed=task.seed, violations=found)


def test_another_way_to_get_stuck_is_another_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shrink, "perform", _stuck)
    shrunk = Shrinker(Task("everything", 7, plan=_large()), "comes-to-rest", jobs=2).run()
    assert [fault.number for fault in shrunk.plan.faults] == [5]
    assert shrunk.plan.orders == ()
