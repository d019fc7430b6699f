"""What must hold of the order log, and between the log and what clients were told."""

import json
from collections import Counter
from collections.abc import Iterator

from sim.history import Command
from sim.judges.evidence import EventRow, Evidence
from sim.judges.words import (
    PUBLISHED_TO,
    REFUSED_FOR,
    STATED_BY,
    wrong_at,
)

EVENT_OF = {
    "place": "order-created",
    "pay": "payment-updated",
    "move": "shipping-address-updated",
    "cancel": "order-cancelled",
    "ship": "shipped",
}
LOCKED_BY = {
    "payment-updated": "payment-auth-in-progress",
    "shipping-address-updated": "shipping-preparation-in-progress",
    "order-cancelled": "shipping-preparation-in-progress",
}
STATUSES: tuple[tuple[frozenset[str], str], ...] = tuple(
    (frozenset(needed), word)
    for needed, word in (
        (("order-cancelled",), "cancelled"),
        (("shipped",), "shipped"),
        (("shipping-prepared",), "prepared"),
        (("shipping-preparation-in-progress",), "preparing"),
        (("payment-captured",), "paid"),
        (("payment-auth-failed",), "payment_failed"),
        (("payment-auth-in-progress",), "payment_pending"),
        ((), "placed"),
    )
)


def every_stream_is_a_lawful_word(evidence: Evidence) -> Iterator[str | None]:
    """The events of every order, in order, are a word of the guard table."""
    for order_id, events in evidence.streams.items():
        wrong = wrong_at([event.type for event in events])
        yield wrong and f"{order_id}: event {wrong}"


def versions_have_no_gap(evidence: Evidence) -> Iterator[str | None]:
    """The versions of every stream are 1, 2, 3, ... in the order of the log, times never fall."""
    for order_id, events in evidence.streams.items():
        versions = [event.version for event in events]
        times = [event.recorded_at_ms for event in events]
        right = versions == list(range(1, len(events) + 1)) and times == sorted(times)
        yield None if right else f"{order_id}: versions {versions}, times {times}"


def event_ids_are_unique(evidence: Evidence) -> Iterator[str | None]:
    """No two events have one id."""
    for event_id, count in Counter(event.id for event in evidence.events).items():
        yield f"{event_id}: {count} events" if count > 1 else None


def order_numbers_are_unique(evidence: Evidence) -> Iterator[str | None]:
    """No two orders have one number."""
    created = (event for event in evidence.events if event.type == "order-created")
    for number, count in Counter(event.data["number"] for event in created).items():
        yield f"number {number}: {count} orders" if count > 1 else None


def events_are_stated_by_their_service(evidence: Evidence) -> Iterator[str | None]:
    """Every event was written by the service whose word it is."""
    for event in evidence.events:
        right = event.app_id == STATED_BY.get(event.type)
        yield None if right else f"{event.id}: {event.type} by {event.app_id}"


def never_cancelled_and_prepared(evidence: Evidence) -> Iterator[str | None]:
    """No order is both cancelled and in preparation."""
    for order_id, events in evidence.streams.items():
        types = {event.type for event in events}
        both = {"order-cancelled", "shipping-preparation-in-progress"} <= types
        yield f"{order_id}: cancelled and in preparation" if both else None


def nothing_is_changed_after_its_lock(evidence: Evidence) -> Iterator[str | None]:
    """No card is changed once payment has begun, no address once shipping has."""
    for order_id, events in evidence.streams.items():
        first = {event.type: event.version for event in reversed(events)}
        for event in events:
            lock = LOCKED_BY.get(event.type)
            if lock is not None:
                right = event.version < first.get(lock, event.version + 1)
                yield None if right else f"{order_id}: {event.type} {event.version} after {lock}"


def accepted_means_exactly_one_event(evidence: Evidence) -> Iterator[str | None]:
    """A command that was accepted has exactly one event, at the version that it was told."""
    events = _by_mark(evidence)
    for command in evidence.commands:
        accepted = command.accepted
        if accepted is None:
            continue
        found = events.get(_asked(command), [])
        order_id = str(accepted.body["id"])
        told = (order_id, accepted.body["version"])
        if len(found) != 1:
            yield f"{command.name}: {command.kind} accepted, {len(found)} events"
        elif found[0].order_id != order_id or _told_before(found[0], told[1], command):
            yield f"{command.name}: told {told}, happened {found[0].order_id} {found[0].version}"
        else:
            yield None


def _told_before(event: EventRow, version: int, command: Command) -> bool:
    """Ship requests have no key: a repeated one shows the order as it is, later or the same."""
    return version != event.version if command.keyed else version < event.version


def refused_means_no_event(evidence: Evidence) -> Iterator[str | None]:
    """A command that was refused has no event."""
    events = _by_mark(evidence)
    for command in evidence.commands:
        if command.refused is not None:
            found = events.get(_asked(command), [])
            yield f"{command.name}: refused, yet {found[0].id}" if found else None


def unknown_means_at_most_one_event(evidence: Evidence) -> Iterator[str | None]:
    """A command of which its client, once or for ever, heard nothing has one event at most."""
    events = _by_mark(evidence)
    for command in evidence.commands:
        cut_off = any(answer.status == 0 for answer in command.answers)
        if cut_off or not command.definite:
            found = events.get(_asked(command), [])
            yield f"{command.name}: unknown, {len(found)} events" if len(found) > 1 else None


def every_client_event_was_asked_for(evidence: Evidence) -> Iterator[str | None]:
    """There is no customer's event that no client asked for."""
    asked = {_asked(command) for command in evidence.commands}
    for (kind, mark), events in _by_mark(evidence).items():
        for event in events:
            yield None if (kind, mark) in asked else f"{event.id}: nobody asked for {kind} {mark}"


def refusals_are_deserved(evidence: Evidence) -> Iterator[str | None]:
    """A refusal names a rule of that command, and what it blames has happened (or was missing)."""
    streams = evidence.streams
    for command in evidence.commands:
        refused = command.refused
        if refused is None:
            continue
        slug = str(refused.body.get("type", "")).rpartition("/")[2]
        types = {event.type for event in streams.get(command.order_id, [])}
        blamed = REFUSED_FOR.get(slug)
        if command.reuses:
            right = (refused.status, slug) == (422, "idempotency-key-reused")
            yield None if right else f"{command.name}: another's key, {refused.status} {slug}"
        elif blamed is None or refused.status != 409:
            yield f"{command.name}: {command.kind} was answered {refused.status} {slug}"
        elif blamed and not types & set(blamed):
            yield f"{command.name}: refused as {slug}, but the log knows no such thing"
        else:
            yield None


def answers_are_expected(evidence: Evidence) -> Iterator[str | None]:
    """Every answer says yes, says no by a rule, or asks to try again: never that we have a bug."""
    for command in evidence.commands:
        expected = (0, 422, 503) if command.reuses else (0, 200, 201, 409, 503)
        for answer in command.answers:
            right = answer.status in expected
            yield None if right else f"{command.name}: answered {answer.status} {answer.body}"


def one_key_one_answer(evidence: Evidence) -> Iterator[str | None]:
    """All answers to one idempotency key are the same: status, version, token, everything."""
    for command in evidence.commands:
        if command.keyed and len(command.definite) > 1:
            told = {(answer.status, _essence(answer.body)) for answer in command.definite}
            yield None if len(told) == 1 else f"{command.name}: {len(told)} answers: {told}"


def _essence(body: object) -> str:
    """Everything of an answer but the id of the request, which is each request's own."""
    assert isinstance(body, dict)
    return repr(sorted((name, part) for name, part in body.items() if name != "request_id"))


def every_answer_is_remembered_once(evidence: Evidence) -> Iterator[str | None]:
    """What a keyed command was told is kept under one key, and no two keys share a version."""
    kept = Counter(
        (row.order_id, row.version) for row in evidence.remembered if row.version is not None
    )
    for command in evidence.commands:
        if command.keyed and command.accepted is not None:
            told = (str(command.accepted.body["id"]), command.accepted.body["version"])
            yield None if kept[told] == 1 else f"{command.name}: {told} is kept {kept[told]} times"


def the_list_is_what_the_log_says(evidence: Evidence) -> Iterator[str | None]:
    """The order list has one row an order, which says what its events say."""
    rows = {row.order_id: row for row in evidence.order_list}
    streams = evidence.streams
    for order_id in dict.fromkeys((*streams, *rows)):
        events = streams.get(order_id, [])
        row = rows.get(order_id)
        types = {event.type for event in events}
        status = next(word for needed, word in STATUSES if needed <= types)
        total = sum(
            line["quantity"] * line["unit_price"]["amount"]
            for event in events[:1]
            for line in event.data["items"]
        )
        owed = {"order-cancelled", "payment-captured"} <= types and "payment-refunded" not in types
        expected = (status, len(events), total, int(owed))
        listed = row and (row.status, row.version, row.total, row.refund_due)
        yield None if listed == expected else f"{order_id}: listed {listed}, log {expected}"


def published_is_what_was_committed(evidence: Evidence) -> Iterator[str | None]:
    """What was published is in the log, as it was published, where it belongs, with equal bytes."""
    events = {event.id: event for event in evidence.events}
    first: dict[str, bytes] = {}
    for message in evidence.published:
        event = events.get(message.id)
        if event is None:
            yield f"{message.id}: published, and not in the log"
            continue
        exchange = PUBLISHED_TO.get(event.type)
        category = f"{exchange}.{event.type}"
        told = (message.exchange, message.routing_key, message.type, message.app_id)
        right = told == (exchange, category, f"{event.type}/v1", event.app_id)
        said = (message.order_id, message.version, message.data)
        right = right and said == (event.order_id, event.version, event.data)
        right = right and first.setdefault(message.id, message.raw) == message.raw
        yield None if right else f"{message.id}: published as {told}, {said}"


def committed_is_published(evidence: Evidence) -> Iterator[str | None]:
    """Every event that is to be published was published, at least once."""
    published = {message.id for message in evidence.published}
    for event in evidence.events:
        if event.type in PUBLISHED_TO:
            lost = f"{event.id}: {event.type} of {event.order_id} was never published"
            yield None if event.id in published else lost


def first_publications_keep_the_order(evidence: Evidence) -> Iterator[str | None]:
    """The events of one order reach the broker for the first time in the order of its versions."""
    versions: dict[str, list[int]] = {}
    for message in dict.fromkeys(
        (message.id, message.order_id, message.version) for message in evidence.published
    ):
        versions.setdefault(message[1], []).append(message[2])
    for order_id, seen in versions.items():
        yield None if seen == sorted(seen) else f"{order_id}: published in the order {seen}"


def _by_mark(evidence: Evidence) -> dict[tuple[str, str], list[EventRow]]:
    """Return customers' events by what their command put into them, which is unique to it."""
    found: dict[tuple[str, str], list[EventRow]] = {}
    told = {_asked(command) for command in evidence.commands if command.kind == "pay"}
    for event in evidence.events:
        match event.type:
            case "order-created":
                key = ("place", _field(evidence, event.data["customer_ref"], "name"))
            case "shipping-address-updated":
                key = ("move", _field(evidence, event.data["address_ref"], "line1"))
            case "order-cancelled":
                key = ("cancel", str(event.data.get("reason")))
            case "shipped":
                key = ("ship", event.data["tracking"])
            case "payment-updated":
                # A card has no room for a mark: an event that nobody was told of may be anyone's.
                key = ("pay", f"{event.order_id}@{event.version}")
                key = key if key in told else ("pay", event.order_id)
            case _:
                continue
        found.setdefault(key, []).append(event)
    return found


def _asked(command: Command) -> tuple[str, str]:
    """Return the mark of what a command asked for, as `_by_mark` reads it from its event."""
    if command.kind == "pay" and command.accepted is not None:
        return "pay", f"{command.order_id}@{command.accepted.body['version']}"
    return command.kind, command.mark


def _field(evidence: Evidence, ref: str, name: str) -> str:
    return str(json.loads(evidence.vault[ref])[name])
