"""Sometimes, in the life of an order: a cancel races payment, or shipping, and each side wins."""

from sim.judges.evidence import Evidence, Operation

LATER = float("inf")
CLOSE_S = 2.0


def captured_then_cancelled_then_recorded(evidence: Evidence) -> int:
    """The provider had captured when the cancel was committed, and the fact came after it (P3)."""
    found = 0
    for one in _moves(evidence, "capture"):
        took_at = evidence.moments[one.id]
        cancelled_at = _at(evidence, one.order_id, "order-cancelled")
        found += took_at < cancelled_at < _at(evidence, one.order_id, "payment-captured")
    return found


def recorded_then_cancelled_then_refunded(evidence: Evidence) -> int:
    """A capture was recorded, the order cancelled after it, and the money given back."""
    return sum(
        _at(evidence, one.order_id, "payment-captured")
        < _at(evidence, one.order_id, "order-cancelled")
        for one in _moves(evidence, "refund")
    )


def cancelled_before_the_call(evidence: Evidence) -> int:
    """The order was cancelled after payment's lock and before money was asked for (P1)."""
    asked = {operation.order_id for operation in _moves(evidence, "authorise")}
    return sum(
        event.type == "payment-auth-failed"
        and event.data["reason"] == "order-cancelled"
        and event.order_id not in asked
        for event in evidence.events
    )


def cancelled_during_authorisation(evidence: Evidence) -> int:
    """Money was reserved when the cancel came, and given up instead of taken (P2)."""
    return len(_moves(evidence, "void"))


def cancel_won_over_preparation(evidence: Evidence) -> int:
    """Shipping had its message, and found the order cancelled: it dropped it (G2)."""
    box = evidence.inboxes.get("shipping")
    done = {entry.message_id for entry, _ in box.settled("done")} if box is not None else set()
    return sum(
        event.id in done
        and _at(evidence, event.order_id, "shipping-preparation-in-progress") == LATER
        and _at(evidence, event.order_id, "order-cancelled") < LATER
        for event in evidence.events
        if event.type == "payment-captured"
    )


def preparation_won_over_cancel(evidence: Evidence) -> int:
    """A cancel was sent before shipping's lock, or just after, and was refused for it (G2)."""
    found = 0
    for command in evidence.commands:
        if command.kind == "cancel" and command.refused is not None:
            locked_at = _at(evidence, command.order_id, "shipping-preparation-in-progress")
            found += command.sent_at < locked_at + CLOSE_S and locked_at < LATER
    return found


def update_lost_against_payment(evidence: Evidence) -> int:
    """A card was to be changed just when payment had begun, and was refused (G3)."""
    return sum(
        command.kind == "pay" and command.refused is not None for command in evidence.commands
    )


def update_lost_against_shipping(evidence: Evidence) -> int:
    """An address was to be changed after preparation had begun, and was refused (G4)."""
    return sum(
        command.kind == "move" and command.refused is not None for command in evidence.commands
    )


def unknown_capture_resolved(evidence: Evidence) -> int:
    """A capture had no answer, and what became of it was found out by its key (P7)."""
    found = 0
    for call in evidence.observed.calls:
        if call.what == "capture" and (call.outcome or call.ended_at is None):
            found += _at(evidence, call.order_id, "payment-captured") < LATER
    return found


def unknown_refund_resolved(evidence: Evidence) -> int:
    """A refund had no answer, and what became of it was found out by its key (P9)."""
    found = 0
    for call in evidence.observed.calls:
        if call.what == "refund" and (call.outcome or call.ended_at is None):
            found += _at(evidence, call.order_id, "payment-refunded") < LATER
    return found


def open_attempt_resumed(evidence: Evidence) -> int:
    """A process died within an attempt, and the next one went on with it (P4)."""
    lives: dict[str, set[int]] = {}
    for call in evidence.observed.calls:
        if call.party == "provider":
            lives.setdefault(call.order_id, set()).add(call.incarnation)
    return sum(len(numbers) > 1 for numbers in lives.values())


def refund_tried_again(evidence: Evidence) -> int:
    """A refund did not succeed at once, and was asked for again (P9, P13)."""
    tries: dict[str, int] = {}
    for call in evidence.observed.calls:
        if call.what == "refund":
            tries[call.order_id] = tries.get(call.order_id, 0) + 1
    return sum(count > 1 for count in tries.values())


def append_answered_though_committed_before(evidence: Evidence) -> int:
    """A service's event was committed, nobody was told, and its repetition succeeded (G9)."""
    uncertain = {
        one.values["event_id"]
        for one in evidence.observed.commits
        if one.table == "events" and one.verb == "insert" and not one.certain
    }
    return sum(
        event.id in uncertain and event.app_id != "order-event-service" for event in evidence.events
    )


def mail_asked_for_again(evidence: Evidence) -> int:
    """A mail was sent, its sender died or was not told, and it was asked for again (once kept)."""
    tries: dict[str, int] = {}
    for call in evidence.observed.calls:
        if call.what == "send":
            tries[call.key] = tries.get(call.key, 0) + 1
    sent = {mail.name for mail in evidence.mails}
    return sum(count > 1 and key in sent for key, count in tries.items())


def failed_payment_of_a_cancelled_order_not_mailed(evidence: Evidence) -> int:
    """A decline came after the cancel: the fact is recorded, and nobody is told of it (P14)."""
    return sum(
        event.type == "payment-auth-failed"
        and _at(evidence, event.order_id, "order-cancelled") < evidence.moments[event.id]
        for event in evidence.events
    )


def _at(evidence: Evidence, order_id: str, kind: str) -> float:
    """Return when an order's first event of a kind was committed, in virtual seconds."""
    for event in evidence.streams.get(order_id, []):
        if event.type == kind:
            return evidence.moments.get(event.id, LATER)
    return LATER


def _moves(evidence: Evidence, kind: str) -> list[Operation]:
    return [operation for operation in evidence.operations if operation.kind == kind]
