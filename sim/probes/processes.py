"""Sometimes, to a process: it dies while it recovers, is told to stop in the midst of work."""

from collections.abc import Iterator

from sim.judges.evidence import Evidence

WORDS = ("BEGIN", "INSERT", "UPDATE", "DELETE", "COMMIT")
POINTS = (
    *(f"{moment} {word}" for word in WORDS for moment in ("before", "after")),
    *(f"{moment} {what}" for what in ("publish", "ack", "call") for moment in ("before", "after")),
)
STATES = ("starting", "idle", "working", "stopping")
# A server begins as the last of its tree, so whoever starts serves nobody yet; and it asks nobody.
NEVER_MEET = frozenset(("http while starting",))
CALLERS = {"provider": "payment", "carrier": "shipping", "mailer": "notification"}


def killed_while_it_recovered(evidence: Evidence) -> int:
    """A process died before it served, when it was not the first of its node."""
    return sum(
        life.number > 1 and life.ready_at is None and not life.reason.startswith("exited")
        for life in evidence.observed.lives
        if life.ended_at is not None
    )


def told_to_stop_with_deliveries_in_hand(evidence: Evidence) -> int:
    """A process was told to stop while it held deliveries."""
    return sum(life.told_at is not None and life.in_hand > 0 for life in evidence.observed.lives)


def supervisor_gave_up(evidence: Evidence) -> int:
    """A supervisor had no restarts left, and said so to the one above it."""
    return sum(one.name == "supervisor.escalated" for one in evidence.observed.incidents)


def actor_restarted(evidence: Evidence) -> int:
    """An actor crashed, and its supervisor started it again."""
    return sum(
        one.name == "actor.restarted" and one.fields.get("reason") != "sibling"
        for one in evidence.observed.incidents
    )


def process_ended_by_its_broken_disk(evidence: Evidence) -> int:
    """A process ended itself because it could not know what was committed."""
    return sum(life.reason == "exited: StoreBroken" for life in evidence.observed.lives)


def crash_points(evidence: Evidence) -> Iterator[str]:
    """Yield each named point of the work at which a process died, once it served again."""
    for one in evidence.observed.struck:
        if one.kind in ("kill-at", "power-cut"):
            node, number = one.target, one.lives.get(one.target, 0)
            again = any(
                life.node == node and life.number > number and life.ready_at is not None
                for life in evidence.observed.lives
            )
            if again:
                what = str(one.facts.get("at", "statement"))
                word = str(one.facts.get("only", "")) if what == "statement" else what
                yield f"{one.facts.get('moment', 'before')} {word}"


def pairs(evidence: Evidence, subjects: dict[str, str]) -> Iterator[str]:
    """Yield the subject of each fault that made a difference with the state of whom it hit.

    What an outside party does hits who calls it.
    """
    for one in evidence.observed.struck:
        subject = subjects.get(one.kind)
        for target in one.target.split("|"):
            node = CALLERS.get(target, target)
            state = one.states.get(node, one.states.get("shop") if target in CALLERS else None)
            pair = f"{subject} while {state}"
            if subject is not None and state in STATES and pair not in NEVER_MEET:
                yield pair
