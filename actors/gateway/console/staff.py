"""Whoever the processes run, as the console and the operator's API reach them.

A place is a path in a tree; where services run apart, several processes may have the same one. The
process is then named by one of its services, which keeps the audit. A process without a service
that keeps one (a gateway of its own) is ours, and what is done there is in that of order-events.
"""

from collections.abc import Iterator

import msgspec

from actors.gateway.console.backstage import (
    KEEPERS,
    Asked,
    Backstage,
    ProcessStatus,
    asked,
    statuses_of,
)
from actors.gateway.console.troubles import processes
from actors.gateway.problems import not_found
from actors.operators import Note
from actors.services import SERVICES, ServiceName
from actors.tree_desk import BEGUN, RESTART, ActorReply, RestartReply
from runtime.audit import STARTED
from runtime.errors import Rejection, Unavailable
from runtime.node import NodeStatus

_HTTP = "http-"


class Place(msgspec.Struct, frozen=True):
    """A node with its place in its tree: the names from the root on, and how deep that is."""

    node: NodeStatus
    path: str
    depth: int


class Found(msgspec.Struct, frozen=True):
    """A place in the tree of a process, and which services that process runs."""

    place: Place
    process: ProcessStatus
    services: list[ServiceName]

    @property
    def keeper(self) -> ServiceName:
        """The service that is asked about it: its own, or any that keeps an audit, or the gateway.

        The last one only where its process has no other.
        """
        names = self.place.path.split("/")
        own = [one for one in self.services if one in names or f"{one}-service" in names]
        kept = [one for one in (*own, *self.services) if one in KEEPERS]
        return kept[0] if kept else "gateway"


def places(node: NodeStatus, above: str = "", depth: int = 0) -> Iterator[Place]:
    """Yield every node with its place, parents first."""
    path = f"{above}/{node.name}" if above else node.name
    yield Place(node, path, depth)
    for child in node.children:
        yield from places(child, path, depth + 1)


async def find(
    backstage: Backstage, path: str | None = None
) -> tuple[list[Found], dict[str, Asked[ProcessStatus]]]:
    """Return who has this path, or everybody, process by process; and what the services said."""
    statuses = await statuses_of(backstage.desks)
    found = [
        Found(place, process, _services(process))
        for process in processes(backstage.own_status(), statuses)
        for place in places(process.supervision)
        if path in (None, place.path)
    ]
    return found, statuses


async def look(backstage: Backstage, found: Found) -> Asked[ActorReply]:
    """Return what waits in a place, and what was logged there lately; or why that is not known."""
    path = found.place.path
    if found.keeper == "gateway":
        return Asked(await backstage.tree.look(path))
    params: dict[str, str | int] = {"path": path}
    return await asked(backstage.desks.ask(found.keeper, "/actors", ActorReply, params=params))


async def restart(backstage: Backstage, path: str, service: str, reason: str) -> None:
    """Have whoever has this path in the process of ``service`` start again; that is only begun.

    ``service`` may be empty where one process alone has the path. Rejection not-found, ambiguous
    (409), not-running (409) or validation-failed; `Unavailable` where a process cannot be asked.
    """
    found, statuses = await find(backstage, path)
    chosen = [one for one in found if not service or service in one.services]
    if not chosen:
        away = [asked.trouble for asked in statuses.values() if asked.trouble]
        raise Unavailable(away[0]) if away else not_found()
    if len(chosen) > 1:
        message = f"Several processes have {path}: name a service of the one that is meant."
        raise Rejection("ambiguous", message, status_hint=409)
    keeper = chosen[0].keeper
    if keeper != "gateway":
        body: dict[str, object] = {"path": path, "reason": reason}
        await backstage.desks.act(keeper, "/actors/restart", RestartReply, body)
        return
    await _restart_here(backstage, path, reason)


async def _restart_here(backstage: Backstage, path: str, reason: str) -> None:
    """Do what a service's desk does, with another one's audit."""

    async def note(outcome: str) -> None:
        row: dict[str, object] = {
            "action": RESTART,
            "target": f"gateway: {path}",
            "reason": reason,
            "outcome": outcome,
        }
        await backstage.desks.act("order-events", "/audit", Note, row)

    await note(STARTED)
    try:
        backstage.tree.restart(path)
    except Rejection as refusal:
        await note(f"refused: {refusal.code}")
        raise
    await note(BEGUN)


def _services(process: ProcessStatus) -> list[ServiceName]:
    """Return which services a process runs, by those of them that listen."""
    listen = {place.node.name for place in places(process.supervision)}
    return [name for name in SERVICES if f"{_HTTP}{name}" in listen]
