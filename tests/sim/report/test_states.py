"""How things stood round a violation, from commits and samples of the broker."""

from typing import Any

import msgspec

from sim.history import Answered
from sim.judges.observed import Commit
from sim.report.names import Names
from sim.report.states import Sample, StateRow, states_of
from tests.sim.judges.witnessed import commit
from tests.sim.report.scenes import mark, scene
from tests.sim.report.test_staging import recorded

ORDERS = ("ord_1A", "ord_2B")
HISTORY = [Answered(f"o{n}-place", 1, 201, {"id": name}) for n, name in enumerate(ORDERS, 1)]


def _event(at: float, order: int, version: int, kind: str) -> Commit:
    facts: dict[str, Any] = {"version": version, "type": kind, "event_id": f"evt_{order}{version}"}
    return commit("events", "insert", at, stream=ORDERS[order - 1], **facts)


def _waits(at: float, row: int, message: str) -> Commit:
    made = commit("outbox", "insert", at, properties=f'{{"message_id":"{message}"}}')
    return msgspec.structs.replace(made, row_id=row)


def test_before_after_and_at_the_end() -> None:
    commits = [
        _event(1.0, 1, 1, "order-created"),
        _event(1.1, 2, 1, "order-created"),
        _waits(1.1, 7, "evt_21"),
        commit("inbox", "insert", 1.5, database="payment.db", message_id="evt_11", state="claimed"),
        _event(2.0, 1, 2, "payment-captured"),
        commit("outbox", "delete", 2.5, where={"position": 7}),
        commit("inbox", "update", 2.6, database="payment.db", state="done",
               where={"message_id": "evt_11"}),
    ]  # fmt: skip
    samples = [
        Sample(1000, (("payment", 0, 0),)),
        Sample(1200, (("payment", 1, 1),)),
        Sample(2000, None),
        Sample(2400, (("payment", 0, 0),)),
    ]
    flag = mark(2.0, shape="flag", step=2000, order=1)
    drawn = scene([flag], focus=flag)
    drawn = msgspec.structs.replace(drawn, events=3000, focus_order=1)
    found = states_of(drawn, Names(HISTORY, commits), commits, samples)
    assert found.moments == ("before step 2000", "after it", "at the end")
    assert found.rows == [
        StateRow("order o1", ("v1 order-created", "v2 payment-captured", "v2 payment-captured")),
        StateRow("outbox", ("1: order-created of o2", "1: order-created of o2", "-")),
        StateRow("inbox of payment", ("1 claimed", "1 claimed", "-")),
        StateRow("queue payment", ("1 ready, 1 out", "-", "-")),
        StateRow("broker", ("-", "down", "-")),
    ]
    assert found.unchanged == 1


def test_a_run_that_passed_ends_with_everything_empty() -> None:
    states = recorded().states
    assert states.moments == ("when faults ceased", "before the stop")
    assert [row for row in states.rows if row.stood[-1] != "-" and "order o" not in row.what] == []
