"""From a run to its picture's data: every sort of mark, what led to what, and the story."""

import re
from functools import cache

import pytest

from sim.outcome import Task
from sim.plan import Act, Fault, Order
from sim.report.recording import Recorded, record
from sim.report.scene import Mark, Scene
from sim.report.story import story_of, text_lines
from tests.sim.plans import CANCELLED, MUG, SHIPPED, kill, plan


@cache
def recorded() -> Recorded:
    """Return a run with a shipped order, a cancelled one, a refused change, a kill and silence."""
    late = Act(do="move", on="shipped")
    orders = (
        Order(number=1, at_s=0.5, items=MUG, acts=(SHIPPED, late)),
        Order(number=2, at_s=0.9, items=MUG, acts=(CANCELLED,)),
    )
    quiet = Fault(number=2, kind="silence", at_s=6.0, for_s=2.0, target="shop|provider")
    return record(
        Task(
            "everything", 3, plan=plan(3, orders=orders, faults=(kill(1, 1.0), quiet), safety_s=14)
        )
    )


@pytest.fixture(name="scene")
def _scene() -> Scene:
    return recorded().scene


def _of(scene: Scene, **wanted: object) -> list[Mark]:
    return [
        mark
        for mark in scene.marks
        if all(getattr(mark, name) == value for name, value in wanted.items())
    ]


def test_marks_are_in_order_and_within_the_run(scene: Scene) -> None:
    steps = [mark.step for mark in scene.marks]
    assert steps == sorted(steps)
    assert all(0 <= mark.at <= scene.end_s for mark in scene.marks)
    assert all(mark.until is None or mark.until >= mark.at for mark in scene.marks)


def test_the_events_of_an_order_are_on_the_log_s_lane(scene: Scene) -> None:
    labels = [mark.label for mark in _of(scene, shape="event", order=1)]
    assert labels == [
        "v1 order-created",
        "v2 payment-auth-in-progress",
        "v3 payment-captured",
        "v4 shipping-preparation-in-progress",
        "v5 shipping-prepared",
        "v6 shipped",
    ]
    order = next(one for one in scene.orders if one.number == 1)
    assert [f"v{n} {name}" for n, name in enumerate(order.events, 1)] == labels


def test_requests_say_how_they_were_answered(scene: Scene) -> None:
    labels = {mark.label for mark in _of(scene, lane="client")}
    assert {"o1 place 201", "o1 ship 200", "o1 move 409", "o2 cancel 200"} <= labels
    unanswered = [mark for mark in _of(scene, lane="client") if mark.torn]
    assert unanswered, "requests met a shop that was down"
    assert all(mark.tone == "bad" for mark in unanswered)


def test_who_watches_is_told_of_events_in_visits_that_begin_and_end() -> None:
    watched = Order(number=1, at_s=0.5, items=MUG, acts=(SHIPPED, Act(do="watch")))
    down = Fault(number=1, kind="kill", at_s=7.0, for_s=3.0, target="shop")
    task = Task("everything", 3, plan=plan(3, orders=(watched,), faults=(down,)))
    visits = _of(record(task).scene, lane="client", shape="watch")
    assert len(visits) >= 3, "one was cut off, one found nobody, and one was told the rest"
    told = [mark.label.removeprefix("o1 watches").strip() for mark in visits if mark.tone != "bad"]
    assert (told[0], told[-1][-4:]) == ("v1", "..v6")
    assert visits[0].text.startswith("Somebody who watches o1 is told of v1, in ")
    assert ", and that nothing more will come, in " in visits[-1].text
    assert any(mark.text == "Somebody who watches o1 hears nothing." for mark in visits)
    assert all(mark.order == 1 and not mark.torn for mark in visits)


def test_a_published_event_waits_in_the_outbox_and_reaches_its_queues(scene: Scene) -> None:
    [row] = [mark for mark in _of(scene, shape="row", order=2) if mark.label == "order-cancelled"]
    assert row.until is not None
    [sent] = [one for one in _of(scene, shape="publish", order=2) if one.thread == row.thread]
    assert row.at <= sent.at <= row.until
    given = [one.to for one in _of(scene, shape="deliver", order=2) if one.thread == row.thread]
    assert sorted(given) == ["notification", "payment"]


def test_a_kill_stops_the_lanes_of_its_node_and_is_told(scene: Scene) -> None:
    down = next(one for one in scene.downs if one.node == "shop")
    assert down.at == pytest.approx(1.0, abs=0.01)
    assert down.until == pytest.approx(2.0, abs=0.01)
    assert {"order-events", "outbox", "broker", "payment"} <= set(down.lanes)
    assert "provider" not in down.lanes
    texts = [mark.text for mark in _of(scene, lane="faults")]
    assert "Fault 1: kill shop." in texts
    assert "shop is killed." in texts
    assert "Fault 2: silence shop|provider, for 2.0 s." in texts


def test_a_mail_leads_back_to_what_the_customer_did(scene: Scene) -> None:
    marks = scene.marks
    causes = {effect: cause for cause, effect in scene.links}
    [at] = [
        n for n, one in enumerate(marks) if one.label == "order-cancelled" and one.lane == "mailer"
    ]
    chain = [at]
    while chain[-1] in causes:
        chain.append(causes[chain[-1]])
    lanes = [marks[n].lane for n in reversed(chain)]
    expected = ["client", "order-events", "outbox", "broker", "broker", "notification", "mailer"]
    assert lanes == expected


def test_effects_never_come_before_their_causes(scene: Scene) -> None:
    assert scene.links
    assert all(scene.marks[a].at <= scene.marks[b].at for a, b in scene.links)


def test_the_story_of_an_order_is_its_own_with_the_faults_meanwhile(scene: Scene) -> None:
    told = story_of(scene, 2)
    assert {mark.order for mark in told} == {0, 2}
    assert all(mark.lane == "faults" for mark in told if mark.order == 0)
    text = "\n".join(text_lines(told))
    assert re.search(r"Customer o2 cancels .*is told 200", text)
    assert "order-events states order-cancelled (v2)." in text
    assert "notification asks the mailer to send order-cancelled and has its answer" in text


def test_nobody_has_no_story(scene: Scene) -> None:
    assert story_of(scene, 99) == []


def test_a_recorded_run_is_the_run_that_it_records() -> None:
    one = recorded()
    assert one.result.digest == record(Task("everything", 3, plan=one.result.plan)).result.digest
    assert len(one.events) == one.events[-1].step
    assert any("event.appended" in line for line in one.log)
