"""One place in a supervision tree: how it is, what it died of, and what waits in it.

Whoever runs in several processes under one name is shown once for each of them.
"""

from collections.abc import Iterator, Mapping

import msgspec
from quart import Response

from actors.gateway.console.backstage import Asked, ProcessStatus, statuses_of
from actors.gateway.console.console import Console
from actors.gateway.console.session import Session
from actors.gateway.console.troubles import processes
from actors.gateway.pages.durations import duration
from actors.gateway.problems import not_found
from runtime.node import NodeStatus
from runtime.service import ServiceStatistics

Statuses = Mapping[str, Asked[ProcessStatus]]
_HTTP = "http-"


class Place(msgspec.Struct, frozen=True):
    """A node with its place in its tree: the names from the root on, and how deep that is."""

    node: NodeStatus
    path: str
    depth: int


class Shown(msgspec.Struct, frozen=True):
    """A node, which services its process runs, what is right below it, and its figures."""

    process: str
    place: Place
    below: list[Place]
    figures: dict[str, str]


class ActorPages:
    """Shows one actor, or one supervisor."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, session: Session, path: str) -> Response:
        """Show whoever has this path in the tree of a process."""
        backstage = self._console.backstage
        statuses = await statuses_of(backstage.desks)
        shown = [
            Shown(_process_name(process), place, _below(place), figures(place, statuses))
            for process in processes(backstage.own_status(), statuses)
            for place in places(process.supervision)
            if place.path == path
        ]
        troubles = [asked.trouble for asked in statuses.values() if asked.trouble]
        if not shown and not troubles:
            raise not_found()
        return self._console.page(
            session,
            "actor.html",
            200 if shown else 503,
            name=path.rpartition("/")[2],
            above=_above(path),
            shown=shown,
            troubles=list(dict.fromkeys(troubles)),
        )


def places(node: NodeStatus, above: str = "", depth: int = 0) -> Iterator[Place]:
    """Yield every node with its place, parents first."""
    path = f"{above}/{node.name}" if above else node.name
    yield Place(node, path, depth)
    for child in node.children:
        yield from places(child, path, depth + 1)


def figures(place: Place, statuses: Statuses) -> dict[str, str]:
    """Return what waits in a node, as its service tells; empty where nothing can wait."""
    name = place.node.name
    if name in ("order-events", "outbox-relay"):
        status = statuses["order-events"].answer
        return {} if status is None else _of_store(name, status)
    part, _, queue = name.partition("-")
    status = statuses[queue].answer if queue in statuses else None
    messages = None if status is None else status.messages
    return {} if messages is None else _of_messages(part, messages)


def _of_store(name: str, status: ProcessStatus) -> dict[str, str]:
    mailbox, relay = status.mailbox, status.outbox
    if name == "outbox-relay" and relay is not None:
        oldest = duration(relay.oldest_age_s) if relay.pending else "none"
        return {
            "Pending": str(relay.pending),
            "Oldest": oldest,
            "Keys that wait": str(relay.blocked),
            "Published": str(relay.published_total),
            "Last error": relay.last_error or "none",
        }
    if name == "order-events" and mailbox is not None:
        return {
            "Mailbox": f"{mailbox.depth} of {mailbox.capacity}",
            "Received": str(mailbox.received),
            "Refused": str(mailbox.rejected),
        }
    return {}


def _of_messages(part: str, messages: ServiceStatistics) -> dict[str, str]:
    lanes, consumer, hold = messages.lanes, messages.consumer, messages.hold
    if part == "lanes":
        return {
            "Mailbox": f"{lanes.depth} of {lanes.capacity}",
            "In work": str(lanes.running),
            "Orders that wait": str(max(0, lanes.keys - lanes.running)),
            "Received": str(lanes.accepted),
            "Refused": str(lanes.rejected),
        }
    if part == "consumer":
        return {
            "Delivered": str(consumer.deliveries),
            "Unacknowledged": str(consumer.unsettled),
            "Found no room yet": str(consumer.waiting),
        }
    if part == "hold":
        due = "nothing" if hold.next_due_s is None else duration(max(0.0, hold.next_due_s))
        return {"Told": str(hold.told_total), "Refused": str(hold.refused_total), "Next in": due}
    return {}


def _below(place: Place) -> list[Place]:
    below = places(place.node, place.path.rpartition("/")[0], place.depth)
    return [other for other in below if other.depth == place.depth + 1]


def _above(path: str) -> list[tuple[str, str]]:
    names = path.split("/")
    return [(names[i], "/".join(names[: i + 1])) for i in range(len(names) - 1)]


def _process_name(process: ProcessStatus) -> str:
    """Return which services a process runs, by those of them that listen."""
    names = (place.node.name for place in places(process.supervision))
    return ", ".join(name.removeprefix(_HTTP) for name in names if name.startswith(_HTTP))
