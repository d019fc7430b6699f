"""Sometimes, between the outbox and the broker: confirms are lost, nacks come, links break."""

from sim.judges.evidence import Evidence
from sim.judges.observed import Fate

TRIES = 3


def confirm_lost_and_republished(evidence: Evidence) -> int:
    """A message was stored by the broker, no confirm came, and it was published again."""
    return sum(
        fate.acked > 0 and fate.acked + fate.returned < fate.sent and not fate.nacked
        for _, _, _, fate in evidence.observed.fates
    )


def outbox_resumed_after_a_crash(evidence: Evidence) -> int:
    """A process died after publishing a row and before removing it, and the next one did both."""
    published: dict[str, set[int]] = {}
    for _, number, message_id, fate in evidence.observed.fates:
        if fate.sent and message_id in evidence.by_id:
            published.setdefault(message_id, set()).add(number)
    removed = {one.message_id for one in evidence.observed.removals}
    return sum(len(numbers) > 1 and one in removed for one, numbers in published.items())


def nack_then_ok(evidence: Evidence) -> int:
    """The broker refused a message and took it later."""
    return sum(fate.nacked > 0 and fate.acked > 0 for *_, fate in evidence.observed.fates)


def returned_and_sent_again(evidence: Evidence) -> int:
    """A message came back because no queue took it; its row stayed until one did."""
    return sum(fate.returned > 0 and fate.acked > 0 for *_, fate in _outbox(evidence))


def rest_of_a_batch_sent_again(evidence: Evidence) -> int:
    """One confirm settled several messages, and one behind them had to be sent again (O8)."""
    return sum(fate.behind > 0 and fate.sent > 1 for *_, fate in evidence.observed.fates)


def blocked_with_a_publish_pending(evidence: Evidence) -> int:
    """The broker said that it takes nothing while messages waited for their confirm."""
    return sum(fate.blocked > 0 for *_, fate in evidence.observed.fates)


def silence_found_by_heartbeat(evidence: Evidence) -> int:
    """A connection that nobody had closed was given up because nothing was heard on it."""
    return sum(
        one.name == "broker.lost" and "heartbeat" in str(one.fields.get("error", ""))
        for one in evidence.observed.incidents
    )


def reconnected_after_many_tries(evidence: Evidence) -> int:
    """A link came back after three attempts or more."""
    found = 0
    roles: dict[str, set[str]] = {}
    for one in evidence.observed.incidents:
        if one.name == "broker.back":
            known = roles.setdefault(one.node, set())
            known.add(str(one.fields["role"]))
            began = one.at - float(one.fields["down_s"])
            tries = sum(
                began < at <= one.at and node == one.node for at, node in evidence.observed.attempts
            )
            found += tries >= TRIES * len(known) and began > 0
    return found


def connection_ended_inside_a_frame(evidence: Evidence) -> int:
    """A connection was reset after a part of a frame."""
    return evidence.observed.torn


def _outbox(evidence: Evidence) -> list[tuple[str, int, str, Fate]]:
    return [row for row in evidence.observed.fates if row[2] in evidence.by_id]
