"""The report's page: what it says first, and what it leaves folded."""

import re

import msgspec

from sim.outcome import Task
from sim.provenance import provenance
from sim.report.page import page
from sim.report.recording import Recorded
from sim.report.result import report_of
from sim.run import Violation
from tests.sim.report.test_staging import recorded


def _page_of(run: Recorded) -> str:
    task = Task("everything", 3, plan=run.result.plan)
    return page(run, report_of(task, run.result, provenance()), "ordermill sim replay everything:3")


def failing(run: Recorded) -> Recorded:
    event = next(mark for mark in run.scene.marks if mark.shape == "event" and mark.order == 1)
    text = f"payment: {event.thread} was done twice, sent as key.{event.thread}"
    found = Violation("no-double", "nothing is done twice", text, step=7, at=0.5)
    result = msgspec.structs.replace(run.result, violations=[found])
    return msgspec.structs.replace(run, result=result)


def test_a_violation_names_events_as_people_do_and_keys_as_they_are() -> None:
    found = re.search(r'<p class="what">(.*?)</p>', _page_of(failing(recorded())))
    assert found is not None
    assert found[1].startswith("payment: order-created of o1 was done twice, sent as key.evt_")


def test_what_held_is_folded_where_something_was_broken() -> None:
    passed, failed = _page_of(recorded()), _page_of(failing(recorded()))
    assert passed.count('<details class="held" open>') == 3
    assert failed.count('<details class="held">') == 3
    assert re.search(r"<strong>safety</strong> <span class=\"count\">1 broken, \d+ held", failed)


def test_probes_that_were_not_hit_are_named() -> None:
    text = _page_of(recorded())
    assert '<li class="count">poison-parked</li>' in text
    assert re.search(r"reached</strong> <span class=\"count\">\d+ of \d+ probes", text)
