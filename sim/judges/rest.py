"""What must hold once everything is quiet: nothing is left anywhere, and every file is sound."""

import json
from collections.abc import Iterator

from sim.judges.evidence import DeadLetter, EventRow, Evidence
from sim.judges.words import CONSUMED_BY

POISON_CARD = "pm_card_poison"
ENDS = {
    "payment-auth-in-progress": {"payment-captured", "payment-auth-failed"},
    "payment-refund-in-progress": {"payment-refunded"},
    "shipping-preparation-in-progress": {"shipping-prepared"},
}


def every_message_was_done_by_whom_it_concerns(evidence: Evidence) -> Iterator[str | None]:
    """Each service is done with every event meant for it, and knows of no other message.

    Unless it could not be, and was parked: whether it had to be is another claim.
    """
    for service in _living(evidence):
        box = evidence.inboxes.get(service)
        forgotten = dict.fromkeys(() if box is None else box.forgotten(), "done")
        states = {**forgotten, **evidence.inbox[service]}
        meant = {event.id for event in evidence.events if event.type in CONSUMED_BY[service]}
        for message_id in dict.fromkeys((*meant, *states)):
            state = states.get(message_id)
            done = state == "done" and message_id in meant
            right = done or message_id in evidence.parked[service]
            yield None if right else f"{service}: {message_id} is {state}"


def the_outbox_is_empty(evidence: Evidence) -> Iterator[str | None]:
    """Nothing waits to be published."""
    yield f"{len(evidence.outbox)} rows" if evidence.outbox else None


def the_holds_are_empty(evidence: Evidence) -> Iterator[str | None]:
    """Nothing waits in a service's hold."""
    for service, count in evidence.holds.items():
        if service not in evidence.dead:
            yield f"{service}: {count} held" if count else None


def the_payment_journal_is_empty(evidence: Evidence) -> Iterator[str | None]:
    """No call to the provider is unsettled, but those of a message that was parked."""
    parked = {
        evidence.by_id[one].order_id for one in evidence.parked["payment"] if one in evidence.by_id
    }
    left = [key for key in evidence.calls if key.partition("/")[0] not in parked]
    yield f"open calls: {left}" if left else None


def the_queues_are_empty(evidence: Evidence) -> Iterator[str | None]:
    """No message lies in a service's queue or in a delay queue."""
    for queue, count in evidence.queues.items():
        if not queue.endswith(".dead") and queue.partition(".")[0] not in evidence.dead:
            yield f"{queue}: {count}" if count else None


def only_bad_messages_were_parked(evidence: Evidence) -> Iterator[str | None]:
    """Dead letters are provably bad: no event of the log is given up, unless by its card's design.

    The test card whose answers nobody can read is parked with the lock that it leaves behind.
    """
    for queue, count in evidence.queues.items():
        if queue.endswith(".dead"):
            known = [letter for letter in evidence.dead_letters if letter.queue == queue]
            yield None if count == len(known) else f"{queue}: {count}, {len(known)} of them seen"
    for letter in evidence.dead_letters:
        event = evidence.by_id.get(letter.id)
        good = event is not None and letter.type == f"{event.type}/v1" and _says(letter, event)
        right = not good or (event is not None and _unreadable(evidence, letter, event))
        what = f"{letter.queue}: {letter.type} {letter.id} ({letter.reason})"
        yield None if right else f"{what} is in the log, and nothing is wrong with it"


def _says(letter: DeadLetter, event: EventRow) -> bool:
    try:
        said = json.loads(letter.body)
    except ValueError:
        return False
    told = (event.order_id, event.version, event.data)
    return (said.get("order_id"), said.get("version"), said.get("data")) == told


def _unreadable(evidence: Evidence, letter: DeadLetter, event: EventRow) -> bool:
    chosen = (one for one in evidence.streams[event.order_id] if "payment" in one.data)
    cards = {evidence.vault[one.data["payment"]["ref"]] for one in chosen}
    return letter.queue == "payment.dead" and POISON_CARD in cards


def every_intent_has_a_definite_answer(evidence: Evidence) -> Iterator[str | None]:
    """Whoever asks until he is told, under one key, is told yes or no in the end."""
    for command in evidence.commands:
        if command.kind == "ship" and "shipping" in evidence.dead:
            continue
        asked = f"{command.name}: {command.kind} of {command.order_id or 'an order'}"
        answers = [answer.status for answer in command.answers]
        told = f"{command.attempts} attempts, answers {answers[-5:]}"
        yield None if command.definite else f"{asked} is open after {told}"


def no_lock_is_without_an_owner(evidence: Evidence) -> Iterator[str | None]:
    """Whatever is in progress has ended, or is parked for a person to look at."""
    for order_id, events in evidence.streams.items():
        types = {event.type for event in events}
        parked = {event.type for event in events if event.id in evidence.parked["payment"]}
        for lock, ends in ENDS.items():
            if lock in types:
                ended = bool(types & ends) or "order-created" in parked
                yield None if ended else f"{order_id}: {lock} has no end, and nobody was told"


def the_files_are_sound(evidence: Evidence) -> Iterator[str | None]:
    """Every database passes SQLite's integrity check."""
    for file, verdict in evidence.faults.items():
        yield None if verdict == "ok" else f"{file}: {verdict}"


def _living(evidence: Evidence) -> list[str]:
    return [service for service in CONSUMED_BY if service not in evidence.dead]
