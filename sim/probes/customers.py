"""Sometimes, between a customer and the shop: replies get lost, requests are sent twice at once."""

from collections import defaultdict
from itertools import pairwise

from sim.history import Sent
from sim.judges.evidence import Evidence

BETWEEN_STEPS = "between two steps"


def reply_lost_and_the_stored_answer_given(evidence: Evidence) -> int:
    """The command was carried out, its reply lost; the same key got the stored answer later."""
    found, tries = 0, _tries(evidence)
    for command in evidence.commands:
        answer = command.accepted
        if not command.keyed or answer is None:
            continue
        lost = [one for one in command.answers if one.status == 0 and one.at <= answer.at]
        sent = tries[command.name].get(answer.attempt)
        committed_at = _committed_at(evidence, str(answer.body["id"]), answer.body["version"])
        found += bool(lost) and sent is not None and committed_at < sent.at
    return found


def same_key_twice_at_once(evidence: Evidence) -> int:
    """Two requests with one key were under way at the same time."""
    found, sent = 0, _tries(evidence)
    for command in evidence.commands:
        ended = {answer.attempt: answer.at for answer in command.answers}
        tries = list(sent[command.name].values())
        found += command.keyed and any(
            ended.get(before.attempt, float("inf")) > after.at for before, after in pairwise(tries)
        )
    return found


def told_to_come_back_and_served(evidence: Evidence) -> int:
    """Somebody got a 503, came back, and got what he wanted."""
    return sum(
        command.accepted is not None and any(one.status == 503 for one in command.answers)
        for command in evidence.commands
    )


def shipped_twice_the_same(evidence: Evidence) -> int:
    """The same *shipped* was stated again and got the original answer."""
    return sum(
        command.kind == "ship" and sum(one.status in (200, 201) for one in command.answers) > 1
        for command in evidence.commands
    )


def client_gone_between_two_steps(evidence: Evidence) -> int:
    """A client went away while its request was worked on, between two steps of the server's."""
    return sum(one.variety == BETWEEN_STEPS for one in evidence.observed.struck)


def _tries(evidence: Evidence) -> dict[str, dict[int, Sent]]:
    """Return the requests of each command by their number, in the order in which they left."""
    found: dict[str, dict[int, Sent]] = defaultdict(dict)
    for one in evidence.observed.history:
        if isinstance(one, Sent):
            found[one.command][one.attempt] = one
    return found


def _committed_at(evidence: Evidence, order_id: str, version: int) -> float:
    events = evidence.streams.get(order_id, [])
    event = next((one for one in events if one.version == version), None)
    return evidence.moments.get(event.id, float("inf")) if event is not None else float("inf")
