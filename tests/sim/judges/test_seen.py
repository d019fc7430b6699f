"""Claims that need a witness: what is wrong in what was seen is found, one by one."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sim.history import Answered, Watching
from sim.judges.checker import check
from sim.judges.evidence import Evidence
from sim.judges.observed import Call, Child, Delivery, Incident, Life, Struck, Written
from sim.judges.table import CLAIMS
from tests.sim.judges.witnessed import commit, told_at, witnessed

SEEN = [claim for claim in CLAIMS if claim.seen]
Doctor = Callable[[Evidence], object]


def set_to(rows: list[Any], number: int, **changes: object) -> None:
    rows[number] = msgspec.structs.replace(rows[number], **changes)


def first_call(evidence: Evidence, what: str) -> Call:
    return next(one for one in evidence.observed.calls if one.what == what)


def put_back_late(evidence: Evidence) -> None:
    """A message is put back although its service was told to stop before."""
    put_back(evidence, "shipping.retry.1s", 8.2)


def put_back(evidence: Evidence, queue: str, at: float) -> None:
    evidence.observed.written.append(Written(at, 1, "shop", 1, "", queue, "m9"))


def claimed_by(evidence: Evidence, order_id: str, position: int, worker: str = "inc_1") -> None:
    """Have another message of an order claimed just before the payment service is done with one."""
    done = next(
        number
        for number, one in enumerate(evidence.observed.commits)
        if one.database == "payment.db"
        and one.values.get("state") == "done"
        and one.where["message_id"].startswith(order_id)
    )
    at = evidence.observed.commits[done].at
    row = {"message_id": evidence.streams[order_id][position].id, "incarnation": worker}
    evidence.observed.commits.insert(
        done, commit("inbox", "insert", at, database="payment.db", state="claimed", **row)
    )


def done_too_soon(evidence: Evidence) -> None:
    """The payment service says that it is done before anything was captured."""
    number = next(
        number
        for number, one in enumerate(evidence.observed.commits)
        if one.database == "payment.db" and one.values.get("state") == "done"
    )
    set_to(evidence.observed.commits, number, at=1.02)


def done_again(evidence: Evidence) -> None:
    done = next(one for one in evidence.observed.commits if one.values.get("state") == "done")
    evidence.observed.commits.append(done)


def done_again_after(where: dict[str, object]) -> Doctor:
    """Have rows removed by a condition, and a message done again that was done at 1000 ms."""

    def doctor(evidence: Evidence) -> None:
        seen = evidence.observed.commits
        number = next(at for at, one in enumerate(seen) if one.values.get("state") == "done")
        done = seen[number]
        set_to(seen, number, values={**done.values, "updated_at_ms": 1000})
        later = done.at + 5
        database = done.database
        seen += [
            commit("inbox", "delete", later, database=database, where=where),
            commit("inbox", "update", later + 1, database=database, where=done.where, state="done"),
        ]

    return doctor


def crashed_more_often(evidence: Evidence) -> None:
    evidence.observed.incidents.pop()


def crash(error: str) -> Doctor:
    def doctor(evidence: Evidence) -> None:
        told = {"actor": "hold", "error": error, "where": "hold.py:1"}
        evidence.observed.incidents.append(Incident(5.0, 1, "shop", 1, "actor.crashed", told))

    return doctor


def ended(**changes: object) -> Doctor:
    return lambda evidence: set_to(evidence.observed.lives, 0, **changes)


def wrote_after_its_death(evidence: Evidence) -> None:
    seen = evidence.observed
    last = msgspec.structs.replace(seen.commits[-1], incarnation=2)
    seen.commits += [last, msgspec.structs.replace(last, incarnation=1)]


def page(evidence: Evidence) -> Watching:
    return evidence.observed.watching[0]


def tell(evidence: Evidence, number: int, **facts: Any) -> None:
    set_to(page(evidence).told, number, **facts)


DOCTORS: dict[str, list[Doctor]] = {
    "nothing_is_asked_before_its_lock": [
        lambda e: setattr(first_call(e, "authorise"), "at", 1.0),
        lambda e: setattr(first_call(e, "refund"), "at", 1.0),
        lambda e: setattr(first_call(e, "prepare"), "at", 1.0),
    ],
    "the_provider_is_asked_with_the_card_at_the_lock": [
        lambda e: first_call(e, "authorise").facts.update(token="pm_card_flaky"),
        lambda e: first_call(e, "refund").facts.update(amount=1),
    ],
    "the_carrier_is_asked_with_the_address_at_the_lock": [
        lambda e: first_call(e, "prepare").facts.update(address={"line1": "elsewhere"}),
    ],
    "nothing_is_captured_of_a_cancel_that_was_told": [
        lambda e: setattr(e, "commands", [told_at(0.1, command) for command in e.commands]),
    ],
    "each_thing_is_asked_under_one_key": [
        lambda e: e.observed.calls.append(
            msgspec.structs.replace(first_call(e, "capture"), key="another")
        ),
    ],
    "an_outbox_row_leaves_only_after_an_unreturned_ack": [
        lambda e: set_to(e.observed.removals, 0, acked=0),
        lambda e: set_to(e.observed.removals, 0, acked=0, returned=1),
    ],
    "nothing_is_acked_before_it_is_settled": [
        lambda e: setattr(e.observed.delivered[0], "acked_at", 2.001),
        lambda e: e.observed.delivered.append(
            Delivery(1.0, 1, "shop", 1, "payment", "unknown", False, False, acked_at=3.0)
        ),
    ],
    "done_means_that_its_effects_are_durable": [
        done_too_soon,
        lambda e: e.moments.update({"o2-payment-refunded": 99.0}),
        lambda e: e.moments.update({"o1-shipping-prepared": 99.0}),
        lambda e: setattr(first_call(e, "send"), "outcome", "Unavailable"),
    ],
    "what_was_committed_is_kept": [
        lambda e: e.events.pop(),
        lambda e: e.mail_rows.pop(),
    ],
    "a_message_is_done_once": [
        done_again,
        done_again_after({"message_id": "m"}),
        done_again_after({"updated_at_ms <": 1000}),
    ],
    "a_requeued_message_has_its_copy": [lambda e: e.observed.published.pop()],
    "one_handler_at_a_time": [
        lambda e: claimed_by(e, "o2", 3),
        lambda e: (
            setattr(first_call(e, "capture"), "ended_at", None)
            or e.observed.calls.append(msgspec.structs.replace(first_call(e, "capture"), at=5.0))
        ),
    ],
    "every_delivery_ends": [
        lambda e: setattr(e.observed.consuming[0], "acked", 5),
        lambda e: setattr(e.observed.consuming[0], "strays", 1),
    ],
    "nobody_holds_more_than_its_prefetch": [
        lambda e: setattr(e.observed.consuming[0], "outstanding_max", 5),
        lambda e: setattr(e.observed.consuming[0], "prefetch", 0),
    ],
    "mailboxes_stay_within_their_capacity": [
        lambda e: e.observed.mailboxes.append(("payment", 11, 10)),
    ],
    "no_delivery_is_out": [lambda e: setattr(e.observed, "unacked", 1)],
    "stopping_raises_no_attempt": [put_back_late],
    "restarts_stay_within_their_intensity": [
        crashed_more_often,
        lambda e: e.observed.incidents.pop(1),
    ],
    "no_child_ends_silently": [
        lambda e: set_to(e.observed.children, 1, state="stopped"),
        lambda e: set_to(e.observed.children, 1, state="missing"),
    ],
    "processes_end_as_they_are_told": [
        ended(told_at=None),
        ended(reason="exited: TypeError"),
        ended(ended_at=None),
    ],
    "nothing_is_left_behind": [ended(leaked=["task (forgotten)"])],
    "nothing_is_held_for_who_has_left": [
        lambda e: set_to(e.observed.held, 0, value=1),
        lambda e: set_to(e.observed.held, 1, value=2),
    ],
    "a_superseded_process_writes_nothing": [
        wrote_after_its_death,
        lambda e: claimed_by(e, "o1", 0, worker="inc_2"),
    ],
    "errors_have_a_cause_outside": [
        crash("AssertionError: nothing like that"),
        crash("ExceptionGroup of 2: TypeError: no; Unavailable: gone"),
        crash("ChildReturned: hold returned without being told to"),
        lambda e: setattr(e.observed, "faulty", False),
    ],
    "nothing_goes_wrong_unhandled": [lambda e: e.observed.mishaps.append("1.0 never awaited")],
    "streams_tell_the_log_in_order": [
        lambda e: page(e).told.insert(4, page(e).told[3]),
        lambda e: page(e).told.pop(3),
        lambda e: tell(e, 3, event_id="evt_another"),
        lambda e: tell(e, 3, type="shipped/v1"),
        lambda e: tell(e, 3, data={"of": "another"}),
        lambda e: tell(e, 7, version=1),
        lambda e: tell(e, 7, status=404),
        lambda e: page(e).told.pop(-2),
        lambda e: tell(e, 0, what="something new"),
        lambda e: setattr(page(e), "order_id", "of nobody"),
    ],
    "whoever_watches_sees_everything": [lambda e: page(e).told.__delitem__(slice(-2, None))],
    "reading_the_past_changes_nothing": [
        lambda e: e.observed.readings[0].after.update(events=12),
        lambda e: e.observed.readings[0].versions.update(o2=[(2, 3)]),
    ],
    "the_list_made_again_is_the_same": [
        lambda e: e.observed.rebuilt[0].made.reverse(),
        lambda e: e.observed.rebuilt[0].made.pop(),
        lambda e: e.observed.rebuilt[0].moved.append("outbox"),
    ],
}
DOCTORS["every_intent_has_a_definite_answer"] = [
    lambda e: set_to(e.commands, 0, answers=(Answered("c", 1, 0), Answered("c", 2, 503))),
]
CASES = [(name, number) for name, doctors in DOCTORS.items() for number in range(len(doctors))]


def test_what_was_seen_in_good_order_passes_and_every_claim_has_cases() -> None:
    findings = check(witnessed(), [claim.judge for claim in SEEN])
    assert [finding for finding in findings if not finding.green] == []


def test_there_is_a_doctor_for_every_claim_that_needs_a_witness() -> None:
    assert sorted(DOCTORS) == sorted(claim.name for claim in SEEN)


@pytest.mark.parametrize(("name", "number"), CASES)
def test_what_was_seen_and_is_wrong_is_found(name: str, number: int) -> None:
    evidence = witnessed()
    DOCTORS[name][number](evidence)
    (claim,) = [claim for claim in SEEN if claim.name == name]
    (finding,) = check(evidence, [claim.judge])
    assert finding.breaches
    assert not any("cannot be judged" in breach for breach in finding.breaches), finding.breaches


def test_a_message_may_be_done_again_when_its_row_was_old_enough_to_be_removed() -> None:
    evidence = witnessed()
    done_again_after({"updated_at_ms <": 1001})(evidence)
    claim = next(claim for claim in SEEN if claim.name == "a_message_is_done_once")
    (finding,) = check(evidence, [claim.judge])
    assert finding.green


def test_an_uncertain_commit_may_be_lost_with_the_power() -> None:
    evidence = witnessed()
    lost = evidence.events.pop()
    number = next(
        number
        for number, one in enumerate(evidence.observed.commits)
        if one.values.get("event_id") == lost.id
    )
    set_to(evidence.observed.commits, number, certain=False)
    claim = next(claim for claim in SEEN if claim.name == "what_was_committed_is_kept")
    (finding,) = check(evidence, [claim.judge])
    assert finding.green


def test_a_service_that_was_not_told_to_stop_yet_may_put_back() -> None:
    evidence = witnessed()
    put_back(evidence, "payment.retry.1s", 8.4)
    put_back(evidence, "shipping.dead", 8.12)
    claim = next(claim for claim in SEEN if claim.name == "stopping_raises_no_attempt")
    assert check(evidence, [claim.judge])[0].green
    put_back(evidence, "shipping.dead", 8.2)
    assert len(check(evidence, [claim.judge])[0].breaches) == 1


@pytest.mark.parametrize("name", ["broker.lost", "broker.stalled"])
def test_a_copy_that_waited_for_the_connection_may_be_late(name: str) -> None:
    evidence = witnessed()
    put_back_late(evidence)
    claim = next(claim for claim in SEEN if claim.name == "stopping_raises_no_attempt")
    assert check(evidence, [claim.judge])[0].breaches
    evidence.observed.incidents.append(Incident(8.0, 1, "shop", 1, name, {}))
    assert check(evidence, [claim.judge])[0].green


def test_a_name_that_stands_twice_in_a_tree_may_be_either() -> None:
    evidence = witnessed()
    evidence.observed.children.append(
        Child("shop", "ordermill", "lanes", "running", restarts_max=2)
    )
    claim = next(one for one in SEEN if one.name == "restarts_stay_within_their_intensity")
    assert check(evidence, [claim.judge])[0].green
    evidence.observed.incidents.append(
        Incident(6.5, 2, "shop", 1, "supervisor.escalated", {"actor": "ordermill"})
    )
    assert check(evidence, [claim.judge])[0].green  # it may have been its three
    evidence.observed.incidents.pop(1)
    assert len(check(evidence, [claim.judge])[0].breaches) == 2


def test_a_supervisor_that_is_started_again_counts_from_nothing() -> None:
    evidence = witnessed()
    seen = evidence.observed
    seen.incidents = [one for one in seen.incidents if one.name != "supervisor.escalated"]
    claim = next(one for one in SEEN if one.name == "restarts_stay_within_their_intensity")
    assert len(check(evidence, [claim.judge])[0].breaches) == 1
    anew = Incident(5.5, 1, "shop", 1, "actor.restarted", {"actor": "messages"})
    last = next(at for at, one in enumerate(seen.incidents) if one.at == 6.0)
    seen.incidents.insert(last, anew)
    assert check(evidence, [claim.judge])[0].green


def test_a_process_may_end_by_itself_where_its_disk_failed() -> None:
    evidence = witnessed()
    evidence.observed.lives.append(
        Life("shop", 2, 9.5, told_at=None, ended_at=9.9, reason="exited: StoreBroken")
    )
    claim = next(claim for claim in SEEN if claim.name == "processes_end_as_they_are_told")
    assert check(evidence, [claim.judge])[0].breaches
    evidence.observed.struck.append(Struck(9.8, 1, "disk-error", "", "shop", {}, {}, {}))
    assert check(evidence, [claim.judge])[0].green


def test_what_a_fault_has_cancelled_may_end() -> None:
    evidence = witnessed()
    crash("ChildReturned: hold returned without being told to")(evidence)
    judges = [one.judge for one in SEEN if one.name == "errors_have_a_cause_outside"]
    assert check(evidence, judges)[0].breaches
    evidence.observed.struck.append(Struck(4.9, 1, "task-cancelled", "", "shop", {}, {}, {}))
    assert check(evidence, judges)[0].green


@pytest.mark.parametrize(
    ("reason", "green"),
    [("exited: StoreBroken", True), ("power cut", True), ("exited", False)],
)
def test_a_broken_store_may_be_told_to_nobody_if_its_process_ends_by_it(
    reason: str, green: bool
) -> None:
    evidence = witnessed()
    killed = not reason.startswith("exited")
    told = "9.600000 SimTask exception was never retrieved: StoreBroken: orders.db: unknown"
    evidence.observed.mishaps.append(told)
    judges = [one.judge for one in SEEN if one.name == "nothing_goes_wrong_unhandled"]
    assert check(evidence, judges)[0].breaches
    evidence.observed.lives.append(Life("shop", 2, 9.5, ended_at=9.9, reason=reason))
    if killed:
        assert check(evidence, judges)[0].breaches, "no disk has failed"
        evidence.observed.struck.append(Struck(9.4, 1, "disk-error", "", "shop", {}, {}, {}))
    assert check(evidence, judges)[0].green is green


def test_an_ack_may_leave_a_moment_after_the_twin_was_claimed() -> None:
    evidence = witnessed()
    delivery = evidence.observed.delivered[0]
    settled = next(
        one.at
        for one in evidence.observed.commits
        if one.values.get("state") == "done" and one.where["message_id"] == delivery.message_id
    )
    row = {"message_id": delivery.message_id, "incarnation": "inc_1"}
    twin = commit("inbox", "insert", settled + 0.001, database="payment.db", state="claimed", **row)
    evidence.observed.commits.append(twin)
    evidence.observed.commits.sort(key=lambda one: one.at)
    judges = [one.judge for one in SEEN if one.name == "nothing_is_acked_before_it_is_settled"]
    delivery.acked_at = settled + 0.002
    assert check(evidence, judges)[0].green
    delivery.acked_at = settled + 1.0
    assert check(evidence, judges)[0].breaches
