"""Sometimes, between the broker and a service: messages come twice, late, or cannot be read."""

from itertools import pairwise

from sim.judges.evidence import Evidence
from sim.judges.inbox import Entry
from sim.judges.observed import Delivery, Incident


def duplicate_dropped_by_the_inbox(evidence: Evidence) -> int:
    """A message came again after it was dealt with, and its inbox row said so."""
    return len(_duplicates(evidence))


def duplicate_while_the_first_is_in_work(evidence: Evidence) -> int:
    """A message was delivered to a process that was working on another delivery of it."""
    return sum(
        box.state(one.message_id, one.at) == "claimed" and _held(evidence, one)
        for one in evidence.observed.delivered
        if (box := evidence.inboxes.get(one.queue)) is not None
    )


def duplicate_known_after_a_restart(evidence: Evidence) -> int:
    """A process knew a duplicate by what a process before it had written."""
    found = 0
    for seen in _duplicates(evidence):
        box = evidence.inboxes.get(str(seen.fields.get("queue")))
        entries = [] if box is None else box.by_message.get(str(seen.fields["message_id"]), [])
        settled = [one for one in entries if one.kind in ("settle", "hold") and one.at <= seen.at]
        found += bool(settled) and settled[-1].life < seen.incarnation
    return found


def claim_of_a_dead_process_resumed(evidence: Evidence) -> int:
    """A message that a process had begun when it died was taken up by the next one."""
    found = 0
    for box in evidence.inboxes.values():
        for entries in box.by_message.values():
            found += sum(
                before.state == "claimed" and after.kind == "claim" and before.life < after.life
                for before, after in pairwise(entries)
            )
    return found


def requeued_copy_and_original_both_alive(evidence: Evidence) -> int:
    """An original was delivered again although its copy was already on its way back (D4)."""
    return sum(
        box.state(one.message_id, one.at) == "requeued" and not one.requeued
        for one in evidence.observed.delivered
        if (box := evidence.inboxes.get(one.queue)) is not None
    )


def poison_parked(evidence: Evidence) -> int:
    """A message that nobody can process was parked."""
    return sum(
        one.name == "message.dead" and one.fields.get("reason") != "exhausted"
        for one in evidence.observed.incidents
    )


def retried_and_done(evidence: Evidence) -> int:
    """A message failed, was put back, and succeeded later."""
    found = 0
    for box in evidence.inboxes.values():
        again = {entry.message_id for entry, _ in box.settled("requeued")}
        found += len(again & {entry.message_id for entry, _ in box.settled("done")})
    return found


def order_not_in_the_store_yet(evidence: Evidence) -> int:
    """A cancellation was delivered before the creation of its order (S1)."""
    created: set[str] = set()
    found = 0
    for one in evidence.observed.delivered:
        event = evidence.by_id.get(one.message_id)
        if event is not None and one.queue == "payment":
            if event.type == "order-created":
                created.add(event.order_id)
            elif event.type == "order-cancelled":
                found += event.order_id not in created
    return found


def done_again_after_it_was_forgotten(evidence: Evidence) -> int:
    """A message came again when its row was gone, and all of its work was done again (D11)."""
    found = 0
    for box in evidence.inboxes.values():
        times: dict[str, list[Entry]] = {}
        for settled, _ in box.settled("done"):
            times.setdefault(settled.message_id, []).append(settled)
        found += sum(
            box.forgot_until(before, after.at)
            for done in times.values()
            for before, after in pairwise(done)
        )
    return found


def channel_gone_before_the_ack(evidence: Evidence) -> int:
    """A process finished with a delivery whose channel had ended: it sent no ack, and got it again.

    (D18: an ack on a new channel would be for somebody else's message.)
    """
    found = 0
    for one in evidence.observed.delivered:
        box = evidence.inboxes.get(one.queue)
        if one.acked_at is None and box is not None:
            found += any(
                entry.state == "done" and entry.life == one.incarnation and entry.at >= one.at
                for entry in box.by_message.get(one.message_id, [])
                if entry.kind == "settle"
            )
    return found


def _duplicates(evidence: Evidence) -> list[Incident]:
    return [one for one in evidence.observed.incidents if one.name == "message.duplicate"]


def _held(evidence: Evidence, this: Delivery) -> bool:
    """Whether the same process held another delivery of this message at that time."""
    return any(
        other is not this
        and (other.node, other.incarnation) == (this.node, this.incarnation)
        and (other.queue, other.message_id) == (this.queue, this.message_id)
        and other.at <= this.at
        and (other.acked_at is None or other.acked_at > this.at)
        for other in evidence.observed.delivered
    )
