"""Probes count what they claim: each kind is hit by evidence that shows it, and by no other."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from sim.history import Answered, Sent
from sim.judges.evidence import Evidence
from sim.judges.observed import Delivery, Fate, Incident, Life, Struck
from sim.probes.table import PROBES, hits, never_reached
from tests.sim.judges.witnessed import call, commit, witnessed

Maker = Callable[[Evidence], object]
CREATED, CAPTURED = "o1-order-created", "o1-payment-captured"


def logged(name: str, **fields: Any) -> Maker:
    return lambda e: e.observed.incidents.append(Incident(4.5, 1, "shop", 1, name, fields))


def told(**counts: int) -> Maker:
    return lambda e: e.observed.fates.append(("shop", 1, CREATED, Fate(**counts)))


def given(at: float, message_id: str, **facts: Any) -> Maker:
    one = Delivery(at, 1, "shop", 1, "payment", message_id, False, False)
    return lambda e: e.observed.delivered.append(msgspec.structs.replace(one, **facts))


def struck(kind: str, state: str = "idle", variety: str = "", **facts: Any) -> Maker:
    one = Struck(4.0, 1, kind, variety, "shop", facts, {"shop": state}, {"shop": 1})
    return lambda e: e.observed.struck.append(one)


def disk(line: str) -> Maker:
    return lambda e: e.observed.disks.update(shop=[line])


def ended(**facts: Any) -> Maker:
    life = Life("shop", 2, 9.5, ended_at=9.9, reason="killed")
    return lambda e: e.observed.lives.append(msgspec.structs.replace(life, **facts))


def moments(**at: float) -> Maker:
    return lambda e: e.moments.update({name.replace("_", "-"): one for name, one in at.items()})


def answered(*answers: Answered) -> Maker:
    def make(evidence: Evidence) -> None:
        old = evidence.commands[0]
        evidence.commands[0] = msgspec.structs.replace(old, answers=answers)
        one = Sent(old.name, 1, old.kind, old.order_id, old.mark, True, {}, 4.0)
        again = msgspec.structs.replace(one, attempt=2, at=6.0)
        evidence.observed.history += [one, again]

    return make


def body(evidence: Evidence) -> Any:
    answer = evidence.commands[0].accepted
    assert answer is not None
    return answer.body


def both(*makers: Maker) -> Maker:
    def make(evidence: Evidence) -> None:
        for maker in makers:
            maker(evidence)

    return make


def lost_then_stored(evidence: Evidence) -> None:
    told_then = body(evidence)
    answered(Answered("c", 1, 0, None, 5.0), Answered("c", 2, 201, told_then, 6.1))(evidence)


def at_once(evidence: Evidence) -> None:
    told_then = body(evidence)
    answered(Answered("c", 1, 201, told_then, 9.0), Answered("c", 2, 201, told_then, 9.1))(evidence)


def claimed_again_later(evidence: Evidence) -> None:
    row = {"message_id": "m7", "incarnation": "inc_1"}
    claim = commit("inbox", "insert", 5.0, database="payment.db", state="claimed", **row)
    evidence.observed.commits += [claim, msgspec.structs.replace(claim, at=6.0, incarnation=2)]


def resumed_outbox(evidence: Evidence) -> None:
    evidence.observed.fates += [("shop", n, CREATED, Fate(sent=1)) for n in (1, 2)]


def untold_commit(evidence: Evidence, event_id: str) -> None:
    number = next(
        n for n, one in enumerate(evidence.observed.commits)
        if one.values.get("event_id") == event_id
    )  # fmt: skip
    uncertain = msgspec.structs.replace(evidence.observed.commits[number], certain=False)
    evidence.observed.commits[number] = uncertain


HIT_BY: dict[str, Maker] = {
    "duplicate-dropped-by-the-inbox": logged(
        "message.duplicate", queue="payment", message_id="unknown"
    ),
    "duplicate-while-the-first-is-in-work": both(
        given(2.0, CREATED), given(2.01, CREATED, incarnation=1)
    ),
    "duplicate-known-after-a-restart": lambda e: e.observed.incidents.append(
        Incident(
            9.0, 1, "shop", 2, "message.duplicate", {"queue": "payment", "message_id": CREATED}
        )
    ),
    "claim-of-a-dead-process-resumed": claimed_again_later,
    "requeued-copy-and-original-both-alive": given(5.0, "m9", queue="shipping"),
    "poison-parked": logged("message.dead", reason="malformed"),
    "order-not-in-the-store-yet": lambda e: e.observed.delivered.sort(
        key=lambda one: one.message_id != "o2-order-cancelled"
    ),
    "channel-gone-before-the-ack": given(2.0, CREATED),
    "confirm-lost-and-republished": told(sent=2, acked=1),
    "outbox-resumed-after-a-crash": resumed_outbox,
    "nack-then-ok": told(sent=2, nacked=1, acked=1),
    "returned-and-sent-again": told(sent=2, acked=1, returned=1),
    "blocked-with-a-publish-pending": told(sent=1, blocked=1),
    "connection-ended-inside-a-frame": lambda e: setattr(e.observed, "torn", 1),
    "reconnected-after-many-tries": both(
        logged("broker.back", role="publish", down_s=2.0),
        lambda e: e.observed.attempts.extend((at, "shop") for at in (3.0, 3.5, 4.0)),
    ),
    "commit-applied-but-the-caller-told-otherwise": disk("SQLITE_IOERR after COMMIT"),
    "log-tail-lost": disk("log tail cut"),
    "busy-and-tried-again": disk("SQLITE_BUSY before BEGIN"),
    "commit-that-nobody-was-told-of": lambda e: untold_commit(e, CREATED),
    "append-answered-though-committed-before": lambda e: untold_commit(e, CAPTURED),
    "reply-lost-and-the-stored-answer-given": lost_then_stored,
    "same-key-twice-at-once": at_once,
    "client-gone-between-two-steps": struck("client-gone", variety="between two steps"),
    "captured-then-cancelled-then-recorded": moments(o2_payment_captured=1.5),
    "cancelled-during-authorisation": lambda e: e.operations.append(
        msgspec.structs.replace(e.operations[0], id="v", kind="void")
    ),
    "unknown-capture-resolved": lambda e: e.observed.calls.append(
        msgspec.structs.replace(call("provider", "capture", "o1", "k", 1.0), outcome="Unavailable")
    ),
    "open-attempt-resumed": lambda e: e.observed.calls.append(
        msgspec.structs.replace(call("provider", "lookup", "o1", "k", 1.0), incarnation=2)
    ),
    "refund-tried-again": lambda e: e.observed.calls.append(
        call("provider", "refund", "o2", "k", 1.0)
    ),
    "mail-asked-for-again": lambda e: e.observed.calls.append(
        call("mailer", "send", "o1", e.mails[0].name, 5.0)
    ),
    "killed-while-it-recovered": ended(),
    "process-ended-by-its-broken-disk": ended(reason="exited: StoreBroken", ready_at=9.6),
    "told-to-stop-with-deliveries-in-hand": lambda e: setattr(e.observed.lives[0], "in_hand", 2),
    "actor-restarted": logged("actor.restarted", actor="lanes", reason="failed"),
    "died-after-COMMIT": both(
        struck("kill-at", at="statement", moment="after", only="COMMIT"),
        ended(ready_at=9.6),
    ),
    "died-before-publish": both(
        struck("power-cut", at="publish", moment="before"), ended(ready_at=9.6)
    ),
    "storage-while-working": struck("disk-error", "working"),
    "process-while-stopping": struck("kill", "stopping"),
}


@pytest.mark.parametrize("name", HIT_BY)
def test_a_probe_is_hit_by_what_it_claims_and_not_without(name: str) -> None:
    assert not hits(witnessed())[name]
    evidence = witnessed()
    HIT_BY[name](evidence)
    assert hits(evidence)[name] >= 1


def test_a_point_counts_only_if_the_process_served_again() -> None:
    evidence = witnessed()
    struck("kill-at", at="statement", moment="after", only="COMMIT")(evidence)
    assert not hits(evidence)["died-after-COMMIT"]


def test_every_probe_states_its_claim() -> None:
    assert [probe.name for probe in PROBES.values() if len(probe.claim) < 20] == []
    assert all(name == probe.name for name, probe in PROBES.items())


def test_what_a_sweep_never_reached_is_named() -> None:
    counts = dict.fromkeys(PROBES, 1)
    assert never_reached(counts) == []
    counts["nack-then-ok"] = 0
    del counts["poison-parked"]
    assert [probe.name for probe in never_reached(counts)] == ["poison-parked", "nack-then-ok"]
