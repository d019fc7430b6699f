"""What services do with messages, as their inboxes tell it."""

from collections.abc import Iterator, Sequence

from sim.judges.observed import Commit
from sim.report.names import SERVICE_OF, Names, Told, lasted
from sim.report.scene import Down, Mark
from sim.report.strikes import death_of

_ENDINGS = {
    "done": "and is done with it",
    "held": "and puts it into the hold",
    "requeued": "and puts it back on a delay queue",
    "parked": "and parks it as a dead letter",
}


def claim_marks(commits: Sequence[Commit], names: Names, downs: Sequence[Down]) -> Iterator[Mark]:
    """Yield a bar for each time that a service was at work on a message."""
    claimed: dict[tuple[str, str], Commit] = {}
    for commit in commits:
        service = SERVICE_OF.get(commit.database.rpartition("/")[2])
        if commit.table != "inbox" or service is None or not commit.rows:
            continue
        message_id = commit.values.get("message_id") or commit.where.get("message_id", "")
        key = service, message_id
        state = commit.values.get("state", "claimed")
        if state in _ENDINGS:
            begun = claimed.pop(key, None)
            if begun is not None:
                yield _bar(service, names.message(message_id), begun, commit, state)
        elif "incarnation" in commit.values:
            before = claimed.pop(key, None)
            if before is not None:
                yield _torn(service, names.message(message_id), before, downs)
            claimed[key] = commit
    for (service, message_id), begun in claimed.items():
        yield _torn(service, names.message(message_id), begun, downs)


def _bar(service: str, told: Told, begun: Commit, ended: Commit, state: str) -> Mark:
    took = lasted(ended.at - begun.at)
    return Mark(
        lane=service,
        shape="work",
        at=begun.at,
        step=begun.step,
        until=ended.at,
        label=told.type if state == "done" else f"{told.type} {state}",
        text=f"{service} claims {told.type} {_ENDINGS[state]} after {took}.",
        tone="bad" if state == "parked" else "plain",
        order=told.order,
        thread=_id_of(begun, ended),
        story=state != "held",
    )


def _torn(service: str, told: Told, begun: Commit, downs: Sequence[Down]) -> Mark:
    """Somebody was at work and never said how it ended: the process has died."""
    death = death_of(downs, begun.node, begun.at)
    return Mark(
        lane=service,
        shape="work",
        at=begun.at,
        step=begun.step,
        until=begun.at if death is None else death,
        torn=True,
        label=told.type,
        text=f"{service} claims {told.type} and dies before it is done.",
        tone="bad",
        order=told.order,
        thread=_id_of(begun, begun),
    )


def _id_of(begun: Commit, ended: Commit) -> str:
    found = begun.values.get("message_id") or ended.where.get("message_id")
    return str(found or begun.where.get("message_id", ""))
