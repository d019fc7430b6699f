"""One place in a supervision tree: how it is, what it died of, and what waits in it.

Whoever runs in several processes under one name is shown once for each of them. It can be started
again from here: that is only begun, and the page shows how it goes.
"""

from collections.abc import Mapping

import msgspec
from quart import Response

from actors.durations import duration
from actors.gateway.console import staff
from actors.gateway.console.backstage import Asked, ProcessStatus
from actors.gateway.console.console import Console
from actors.gateway.console.session import Session
from actors.gateway.console.staff import Found, Place, places
from actors.gateway.pages.forms import Form
from actors.gateway.problems import not_found
from actors.tree_desk import ActorReply
from runtime.errors import Rejection, Unavailable
from runtime.restarts import affected
from runtime.service import ServiceStatistics

Statuses = Mapping[str, Asked[ProcessStatus]]
PATH = "/ops/actors/"


class Shown(msgspec.Struct, frozen=True):
    """A node, which services its process runs, what is right below it, and its figures.

    ``service`` names its process; ``looked`` is what waits there and what was logged lately.
    ``heir`` is whether it can be started again: the root cannot. ``taken`` are the siblings that
    its restart takes along. ``answers`` is whether these pages stop with it, too.
    """

    process: str
    service: str
    place: Place
    below: list[Place]
    figures: dict[str, str]
    looked: Asked[ActorReply]
    heir: bool
    taken: list[str]
    answers: bool


class ActorPages:
    """Shows one actor, or one supervisor, and has it started again."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, session: Session, path: str) -> Response:
        """Show whoever has this path in the tree of a process."""
        return await self._show(session, path)

    async def restart(self, session: Session, form: Form, path: str) -> Response:
        """Have whoever has this path in the named service's process start again."""
        service, reason = form.text("service"), form.text("reason")
        try:
            await staff.restart(self._console.backstage, path, service, reason)
        except (Rejection, Unavailable) as error:
            if isinstance(error, Rejection) and error.status_hint == 404:
                raise not_found() from error
            return await self._show(session, path, str(error), error.status_hint)
        return self._console.site.see_other(f"{PATH}{path}?done=restart")

    async def _show(
        self, session: Session, path: str, trouble: str = "", status_code: int = 200
    ) -> Response:
        found, statuses = await staff.find(self._console.backstage, path)
        troubles = [asked.trouble for asked in statuses.values() if asked.trouble]
        if not found and not troubles:
            raise not_found()
        return self._console.page(
            session,
            "actor.html",
            status_code if found else 503,
            name=path.rpartition("/")[2],
            above=_above(path),
            shown=[await self._shown(one, statuses) for one in found],
            troubles=list(dict.fromkeys(troubles)),
            trouble=trouble,
            done=self._console.argument("done") == "restart",
        )

    async def _shown(self, found: Found, statuses: Statuses) -> Shown:
        place, taken = found.place, _taken(found)
        return Shown(
            process=", ".join(found.services),
            service=found.services[0] if found.services else "",
            place=place,
            below=_below(place),
            figures=figures(place, statuses),
            looked=await staff.look(self._console.backstage, found),
            heir=place.depth > 0,
            taken=taken,
            answers=_answers(found, taken),
        )


def _taken(found: Found) -> list[str]:
    """Return who is stopped and started along with it, by the strategy of its supervisor."""
    above, _, name = found.place.path.rpartition("/")
    for place in places(found.process.supervision):
        if place.path == above and place.node.strategy is not None:
            names = [child.name for child in place.node.children]
            index = names.index(name)
            felled = affected(place.node.strategy, index, len(names))
            return [names[i] for i in felled if i != index]
    return []


def _answers(found: Found, taken: list[str]) -> bool:
    """Return whether what answers this page is at that place, below it, or taken along."""
    above = found.place.path.rpartition("/")[0]
    felled = [f"{found.place.path}/", *(f"{above}/{name}/" for name in taken)]
    return any(
        place.node.name == "http-gateway" and f"{place.path}/".startswith(tuple(felled))
        for place in places(found.process.supervision)
    )


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
