"""The sound evidence once more, with a witness who saw how it came about."""

from typing import Any

import msgspec

from sim.history import Command, Told, Watching
from sim.judges.evidence import EventRow, Evidence
from sim.judges.observed import (
    Call,
    Child,
    Commit,
    Consuming,
    Delivery,
    Held,
    Incident,
    Life,
    Observed,
    Publication,
    Reading,
    Rebuilt,
    Removal,
)
from sim.judges.words import CONSUMED_BY, PUBLISHED_TO
from tests.sim.judges.sound import TEMPLATES, sound

CLAIMED_AT, ACKED_AT, ANSWERED_AT = 2.0, 3.1, 6.0


def witnessed() -> Evidence:
    """Return sound evidence whose every event, call and message was seen, in good order."""
    evidence = sound()
    evidence.commands.pop()  # the one that nobody ever heard of: here all insist
    evidence.commands = [told_at(ANSWERED_AT, command) for command in evidence.commands]
    evidence.moments = {
        **{event.id: event.recorded_at_ms / 1000 for event in evidence.events},
        **{one.id: one.at_ms / 1000 for one in evidence.operations},
        **{one.id: one.prepared_at_ms / 1000 for one in evidence.parcels},
    }
    evidence.observed = Observed(faulty=True, mailboxes=[("payment", 3, 10)])
    for event in evidence.events:
        what = {"event_id": event.id, "type": event.type}
        happened = commit("events", "insert", event_moment(event), **what)
        evidence.observed.commits.append(happened)
        if event.type in PUBLISHED_TO:
            published(evidence, event)
    for service, types in CONSUMED_BY.items():
        for event in evidence.events:
            if event.type in types:
                handled(evidence, service, event)
    asked(evidence)
    retried(evidence)
    lived(evidence)
    looked_back(evidence)
    watched(evidence)
    return evidence


def told_at(at: float, command: Command) -> Command:
    answers = tuple(msgspec.structs.replace(answer, at=at) for answer in command.answers)
    return msgspec.structs.replace(command, answers=answers)


def commit(
    table: str,
    verb: str,
    at: float,
    /,
    *,
    database: str = "orders.db",
    where: Any = None,
    **values: Any,
) -> Commit:
    """Return a commit of the shop's first process."""
    return Commit(
        at=at,
        step=int(at * 1000),
        node="shop",
        incarnation=1,
        database=database,
        table=table,
        verb=verb,
        values=values,
        where=where or {},
    )


def event_moment(event: EventRow) -> float:
    return event.recorded_at_ms / 1000


def published(evidence: Evidence, event: EventRow) -> None:
    seen, exchange = evidence.observed, PUBLISHED_TO[event.type]
    at = event_moment(event) + 0.01
    where = (exchange, f"{exchange}.{event.type}", event.id)
    seen.published.append(Publication(at, 1, "shop", *where, b"", b""))
    seen.removals.append(Removal(at + 0.01, 1, "shop", event.position, event.id, 1, 1, 0))


def handled(evidence: Evidence, service: str, event: EventRow) -> None:
    seen, database = evidence.observed, f"{service}.db"
    seen.delivered.append(
        Delivery(1.5, 1, "shop", 1, service, event.id, False, False, acked_at=ACKED_AT)
    )
    # One message after the other: what an order waits for is done before its next one is claimed.
    at = CLAIMED_AT + 0.05 * evidence.events.index(event)
    row = {"message_id": event.id, "incarnation": "inc_1"}
    claimed = commit("inbox", "insert", at, database=database, state="claimed", **row)
    done = commit("inbox", "update", at + 0.02, database=database, where=row, state="done")
    seen.commits += [claimed, done]
    if service == "notification":
        key = f"{event.order_id}.{event.id}.{TEMPLATES[event.type]}"
        seen.calls.append(call("mailer", "send", event.order_id, key, at))
        sent = commit("mails", "insert", at + 0.01, database=database, key=key, state="sent")
        seen.commits.insert(-1, sent)


def call(party: str, what: str, order_id: str, key: str, at: float, **facts: Any) -> Call:
    return Call(at, 1, "shop", 1, party, what, order_id, key, facts, ended_at=at)


def asked(evidence: Evidence) -> None:
    for one in evidence.operations:
        facts: dict[str, Any] = {"amount": one.amount}
        if one.kind == "authorise":
            facts["token"] = one.token
        at = evidence.moments[one.id]
        evidence.observed.calls.append(
            call("provider", one.kind, one.order_id, one.key, at, **facts)
        )
    for parcel in evidence.parcels:
        at = evidence.moments[parcel.id]
        evidence.observed.calls.append(
            call("carrier", "prepare", parcel.order_id, parcel.key, at, address=parcel.address)
        )


def retried(evidence: Evidence) -> None:
    """Have a message fail once, and be put back: it has no event, so it concerns no order."""
    seen, row = evidence.observed, {"message_id": "m9", "incarnation": "inc_1"}
    seen.commits += [
        commit("inbox", "insert", 1.0, database="shipping.db", state="claimed", **row),
        commit("inbox", "update", 1.2, database="shipping.db", where=row, state="requeued"),
    ]
    seen.published.append(Publication(1.1, 1, "shop", "", "shipping.retry.1s", "m9", b"", b""))
    seen.commits.sort(key=lambda one: one.at)


def lived(evidence: Evidence) -> None:
    seen = evidence.observed
    seen.lives.append(Life("shop", 1, 0.0, 0.5, told_at=8.0, ended_at=9.0, reason="exited"))
    seen.children += [
        Child("shop", "ordermill", "messages", "running", restarts_max=2),
        Child("shop", "messages", "lanes", "running", restarts_max=2),
    ]
    seen.held += [
        Held("shop", "http_requests_in_work", ("read",), 0.0),
        Held("shop", "http_client_connections_in_use", ("order-events",), 0.0),
    ]
    stopped = {"actor": "hold-shipping"}
    seen.incidents.append(Incident(8.1, 2, "shop", 1, "actor.stopped", stopped))
    told = {"actor": "lanes", "reason": "failed", "error": "BrokerLost: gone"}
    seen.incidents += [Incident(4.0 + at, 1, "shop", 1, "actor.crashed", told) for at in range(3)]
    seen.incidents.append(
        Incident(6.0, 2, "shop", 1, "supervisor.escalated", {"actor": "messages"})
    )
    figures = {"delivered": 9, "acked": 6, "refused": 1, "back": 2, "outstanding_max": 4}
    seen.consuming.append(Consuming("shop", "payment", "t", 4, open=False, **figures))


def looked_back(evidence: Evidence) -> None:
    sizes = {"events": 11, "outbox": 0}
    evidence.observed.readings.append(Reading(sizes, dict(sizes), {"o1": [(1, 1), (2, 2)]}))
    kept = [("o1", "prepared"), ("o2", "cancelled")]
    evidence.observed.rebuilt.append(Rebuilt(kept, list(kept)))


def watched(evidence: Evidence) -> None:
    """Have somebody watch the first order: he is told of two events, comes back, and sees all."""
    order_id, events = next(iter(evidence.streams.items()))
    told = [
        Told(2.0, "no answer"),
        Told(2.1, "opened", status=503),
        Told(2.2, "opened", status=200),
    ]
    for number, event in enumerate(events):
        if number == 2:
            told += [Told(3.0, "bye"), Told(3.1, "left")]
            told.append(Told(4.0, "opened", version=2, status=200))
        told.append(Told(4.5, "event", event.version, event.id, f"{event.type}/v1", event.data))
    told.append(Told(5.0, "complete"))
    evidence.observed.watching.append(Watching("w", order_id, told))
