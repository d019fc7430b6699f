"""What must hold once everything is quiet: nothing is left anywhere, and every file is sound."""

from collections.abc import Iterator

from sim.judges.evidence import Evidence
from sim.judges.words import CONSUMED_BY


def every_message_was_done_by_whom_it_concerns(evidence: Evidence) -> Iterator[str | None]:
    """Each service is done with every event meant for it, and knows of no other message."""
    for service, types in CONSUMED_BY.items():
        states = evidence.inbox[service]
        meant = {event.id for event in evidence.events if event.type in types}
        for message_id in dict.fromkeys((*meant, *states)):
            state = states.get(message_id)
            right = state == "done" and message_id in meant
            yield None if right else f"{service}: {message_id} is {state}"


def the_outbox_is_empty(evidence: Evidence) -> Iterator[str | None]:
    """Nothing waits to be published."""
    yield f"{len(evidence.outbox)} rows" if evidence.outbox else None


def the_holds_are_empty(evidence: Evidence) -> Iterator[str | None]:
    """Nothing waits in a service's hold."""
    for service, count in evidence.holds.items():
        yield f"{service}: {count} held" if count else None


def the_payment_journal_is_empty(evidence: Evidence) -> Iterator[str | None]:
    """No call to the provider is unsettled."""
    yield f"open calls: {evidence.calls}" if evidence.calls else None


def the_queues_are_empty(evidence: Evidence) -> Iterator[str | None]:
    """No message lies in a service's queue or in a delay queue."""
    for queue, count in evidence.queues.items():
        if not queue.endswith(".dead"):
            yield f"{queue}: {count}" if count else None


def nothing_was_parked(evidence: Evidence) -> Iterator[str | None]:
    """The queues of dead letters are empty: no message was bad, so none may be given up."""
    for queue, count in evidence.queues.items():
        if queue.endswith(".dead"):
            yield f"{queue}: {count}" if count else None


def the_files_are_sound(evidence: Evidence) -> Iterator[str | None]:
    """Every database passes SQLite's integrity check."""
    for file, verdict in evidence.faults.items():
        yield None if verdict == "ok" else f"{file}: {verdict}"


REST_INVARIANTS = (
    every_message_was_done_by_whom_it_concerns,
    the_outbox_is_empty,
    the_holds_are_empty,
    the_payment_journal_is_empty,
    the_queues_are_empty,
    nothing_was_parked,
    the_files_are_sound,
)
