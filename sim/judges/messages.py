"""What must hold of messages while they are under way: outbox, deliveries, inbox."""

from collections.abc import Iterator
from itertools import pairwise

from sim.judges.evidence import EventRow, Evidence
from sim.judges.inbox import Entry, Inbox
from sim.judges.observed import Consuming, Delivery
from sim.judges.parties import TEMPLATES
from sim.judges.words import CONSUMED_BY

NEVER = float("inf")
ACK_S_MAX = 0.05


def an_outbox_row_leaves_only_after_an_unreturned_ack(evidence: Evidence) -> Iterator[str | None]:
    """A row leaves the outbox only when its relay was told that the broker has the message."""
    for row in evidence.observed.removals:
        told = f"sent {row.sent}, acked {row.acked}, returned {row.returned} times"
        yield None if row.acked else f"{row.message_id}: removed at {row.at:.3f} s, {told}"


def nothing_is_acked_before_it_is_settled(evidence: Evidence) -> Iterator[str | None]:
    """A delivery is acked only when its inbox row says what became of it, or its copy is parked."""
    parked = {
        (letter.node, letter.routing_key.removesuffix(".dead")): letter.at
        for letter in reversed(evidence.observed.published)
        if letter.routing_key.endswith(".dead")
    }
    for delivery in evidence.observed.delivered:
        if delivery.acked_at is None or delivery.queue not in CONSUMED_BY:
            continue
        box = evidence.inboxes.get(delivery.queue)
        state = None if box is None else box.state(delivery.message_id, delivery.acked_at)
        right = state not in (None, "claimed") or _just_settled(box, delivery)
        if state is None:  # a message that cannot be read has no row, but a copy where it is parked
            right = parked.get((delivery.node, delivery.queue), NEVER) <= delivery.acked_at
        what = f"{delivery.queue}: {delivery.message_id} acked at {delivery.acked_at:.3f} s"
        yield None if right else f"{what}, while its row was {state}"


def _just_settled(box: Inbox | None, delivery: Delivery) -> bool:
    """Whether its row was settled a moment before the ack: its twin, next in line, may have it."""
    assert delivery.acked_at is not None
    since = max(delivery.at, delivery.acked_at - ACK_S_MAX)
    entries = [] if box is None else box.by_message.get(delivery.message_id, [])
    return any(one.kind == "settle" and since <= one.at <= delivery.acked_at for one in entries)


def done_means_that_its_effects_are_durable(evidence: Evidence) -> Iterator[str | None]:
    """An inbox row says *done* only after all that its message leads to has been committed."""
    for service, box in evidence.inboxes.items():
        for settled, begun in box.settled("done"):
            event = evidence.by_id.get(settled.message_id)
            if event is not None:
                missing = _missing(evidence, service, event, settled.at, begun.at)
                what = f"{service}: {event.type} of {event.order_id} done at {settled.at:.3f} s"
                yield missing and f"{what}, {missing}"


def _missing(
    evidence: Evidence, service: str, event: EventRow, at: float, begun_at: float
) -> str | None:
    """Say what was not committed by the time that the message was done, if anything."""
    happened = {
        one.type: evidence.moments.get(one.id, NEVER) for one in evidence.streams[event.order_id]
    }

    def by(kind: str, limit: float = at) -> bool:
        return happened.get(kind, NEVER) <= limit

    match service, event.type:
        case "payment", "order-created":
            locked = by("payment-auth-in-progress")
            ended = by("payment-captured") or by("payment-auth-failed")
            right = ended if locked else by("order-cancelled")
            return None if right else "its payment had not ended"
        case "payment", "order-cancelled":
            owed = by("payment-captured", begun_at) and not by("payment-refunded")
            return "its refund was still owed" if owed else None
        case "shipping", _:
            locked = by("shipping-preparation-in-progress")
            right = by("shipping-prepared") if locked else by("order-cancelled")
            return None if right else "its parcel was not prepared"
        case _:
            return None if _mailed(evidence, event, at) else "its mail was neither sent nor skipped"


def _mailed(evidence: Evidence, event: EventRow, at: float) -> bool:
    key = f"{event.order_id}.{event.id}.{TEMPLATES[event.type]}"
    noted = [
        commit
        for commit in evidence.observed.commits
        if commit.table == "mails" and commit.values.get("key") == key and commit.at <= at
    ]
    states = {commit.values["state"] for commit in noted}
    if "skipped" in states:
        return True
    sent = any(
        call.what == "send" and call.key == key and not call.outcome and (call.ended_at or at) <= at
        for call in evidence.observed.calls
    )
    return "sent" in states and sent


def what_was_committed_is_kept(evidence: Evidence) -> Iterator[str | None]:
    """What was committed, and told, is in the ledger at the end, whatever crashed since."""
    kept = {
        "events": set(evidence.by_id),
        "operations": {operation.id for operation in evidence.operations},
        "parcels": {parcel.id for parcel in evidence.parcels},
        "mails": {row.key for row in evidence.mail_rows},
    }
    names = {"events": "event_id", "operations": "id", "parcels": "parcel_id", "mails": "key"}
    for commit in evidence.observed.commits:
        if commit.table in names and commit.verb == "insert" and commit.certain:
            one = commit.values[names[commit.table]]
            lost = f"{commit.table}: {one} committed at {commit.at:.3f} s, and lost"
            yield None if one in kept[commit.table] else lost


def a_message_is_done_once(evidence: Evidence) -> Iterator[str | None]:
    """No service is done twice with one message, unless it had forgotten the first time."""
    for service, box in evidence.inboxes.items():
        done: dict[str, list[Entry]] = {}
        for settled, _ in box.settled("done"):
            if settled.certain:
                done.setdefault(settled.message_id, []).append(settled)
        for message_id, times in done.items():
            again = any(not box.forgot_until(one, other.at) for one, other in pairwise(times))
            told = ", ".join(f"{one.at:.3f}" for one in times)
            yield f"{service}: {message_id} was done at {told} s" if again else None


def a_requeued_message_has_its_copy(evidence: Evidence) -> Iterator[str | None]:
    """A row says *requeued* or *parked* only after the broker has confirmed the copy."""
    for service, box in evidence.inboxes.items():
        copies: dict[str, list[float]] = {}
        for seen in evidence.observed.published:
            if seen.routing_key.startswith(f"{service}.") and not seen.exchange:
                copies.setdefault(seen.message_id, []).append(seen.at)
        for state in ("requeued", "parked"):
            for settled, begun in box.settled(state):
                times = copies.get(settled.message_id, [])
                right = any(begun.at <= at <= settled.at for at in times)
                what = f"{service}: {settled.message_id} {state} at {settled.at:.3f} s"
                yield None if right else f"{what}, and no copy was published since {begun.at:.3f} s"


def one_handler_at_a_time(evidence: Evidence) -> Iterator[str | None]:
    """A process works on one message of an order at a time, and asks one thing of a party."""
    for service, box in evidence.inboxes.items():
        yield from _overlapping_claims(evidence, service, box.entries)
    latest: dict[tuple[str, int, str, str], float] = {}
    for call in evidence.observed.calls:
        line = call.node, call.incarnation, call.party, call.order_id
        right = latest.get(line, 0.0) <= call.at
        latest[line] = NEVER if call.ended_at is None else call.ended_at
        what = f"{call.order_id}: {call.what} asked of {call.party} at {call.at:.3f} s"
        yield None if right else f"{what}, while another call of it was under way"


def _overlapping_claims(
    evidence: Evidence, service: str, entries: list[Entry]
) -> Iterator[str | None]:
    """Who settles, or notes a step, must not have been overtaken by another message's claim."""
    at_work: dict[tuple[int, str], str] = {}
    for entry in entries:
        event = evidence.by_id.get(entry.message_id)
        if event is None:
            continue
        line = entry.life, event.order_id
        if entry.kind in ("claim", "work"):
            at_work[line] = entry.message_id
        elif entry.kind != "hold":
            right = at_work.get(line, entry.message_id) == entry.message_id
            what = f"{service}: {entry.message_id} of {event.order_id} at {entry.at:.3f} s"
            yield None if right else f"{what}, while it worked on {at_work[line]}"


def every_delivery_ends(evidence: Evidence) -> Iterator[str | None]:
    """Every delivery ends acked, given back, or with its channel; nothing else is acked."""
    for one in evidence.observed.consuming:
        ended = one.acked + one.refused + one.back
        right = ended == one.delivered and not one.strays
        yield (
            None if right else f"{_who(one)}: {ended} of {one.delivered} ended, {one.strays} stray"
        )


def nobody_holds_more_than_its_prefetch(evidence: Evidence) -> Iterator[str | None]:
    """A consumer never holds more deliveries than it has asked for, and it asks for a number."""
    for one in evidence.observed.consuming:
        if one.tag:
            right = one.prefetch > 0 and one.outstanding_max <= one.prefetch
            what = f"{_who(one)}: held {one.outstanding_max}, prefetch {one.prefetch}"
            yield None if right else what


def mailboxes_stay_within_their_capacity(evidence: Evidence) -> Iterator[str | None]:
    """No mailbox and no lanes hold more than their capacity."""
    for name, depth, capacity in evidence.observed.mailboxes:
        yield None if depth <= capacity else f"{name}: {depth} of {capacity}"


def no_delivery_is_out(evidence: Evidence) -> Iterator[str | None]:
    """At rest, no delivery waits for its ack."""
    out = evidence.observed.unacked
    yield f"{out} deliveries are out" if out else None


def _who(one: Consuming) -> str:
    return f"{one.node}: {one.tag or 'a look'} of {one.queue or 'a queue'}"
