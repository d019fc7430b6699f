"""Where an order's events go: who is there, what waits where, and who supervises whom.

A figure is what its own service says, or its broker by a passive declare; one that cannot be had is
a question mark, and the reason stands below.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial

import anyio
import msgspec
from quart import Response

from actors.dead_letters import QueuesReply
from actors.domain.events import EVENT_TYPES
from actors.durations import duration
from actors.gateway.console.backstage import (
    Asked,
    Desks,
    ProcessStatus,
    asked_all,
    statuses_of,
)
from actors.gateway.console.chart import time_of_day
from actors.gateway.console.console import Console
from actors.gateway.console.flow import Picture, Place, tall, wide
from actors.gateway.console.queues import (
    UNKNOWN,
    Depths,
    Statuses,
    alarms,
    missing,
    oldest,
    queue_rows,
    sampled,
)
from actors.gateway.console.session import Session
from actors.gateway.console.staff import places
from actors.gateway.console.troubles import processes
from actors.samples import APPENDED, PUBLISHED
from actors.services import CONSUMERS, ServiceName


class Flow(msgspec.Struct, frozen=True):
    """Who is where, as a picture from left to right (``wide``), and one from the top (``tall``)."""

    places: list[Place]
    wide: Picture
    tall: Picture


class TopologyPages:
    """Shows the picture, the same in a table, the connections and the supervision trees."""

    def __init__(self, console: Console) -> None:
        self._console = console

    async def show(self, session: Session) -> Response:
        """Ask every service at once, and show what they say."""
        backstage = self._console.backstage
        statuses, depths = await ask_places(backstage.desks)
        found = processes(backstage.own_status(), statuses)
        return self._console.page(
            session,
            "topology.html",
            flow=flow(backstage.subscriptions, statuses, depths, _paths(found)),
            troubles=_troubles(statuses, depths),
            since=_since(statuses),
            queues=queue_rows(statuses, depths),
            alarms=alarms(depths),
            missing=missing(depths),
            links=[link for process in found for link in process.broker],
            trees=[list(places(process.supervision)) for process in found],
        )


async def ask_places(desks: Desks) -> tuple[Statuses, Depths]:
    """Ask every service what it says of itself, and of its queues."""
    statuses: dict[str, Asked[ProcessStatus]] = {}
    depths: dict[str, Asked[QueuesReply]] = {}

    async def ask_statuses() -> None:
        statuses.update(await statuses_of(desks))

    async def ask_depths() -> None:
        questions: dict[str, Callable[[], Awaitable[QueuesReply]]] = {
            queue: partial(_depths, desks, queue) for queue in CONSUMERS
        }
        depths.update(await asked_all(questions))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(ask_statuses)
        tasks.start_soon(ask_depths)
    return statuses, depths


async def _depths(desks: Desks, queue: ServiceName) -> QueuesReply:
    return await desks.ask(queue, "/queues", QueuesReply)


def _troubles(statuses: Statuses, depths: Depths) -> list[str]:
    said = [row.trouble for row in statuses.values()] + [row.trouble for row in depths.values()]
    return [text for text in dict.fromkeys(said) if text]


def flow(
    subscriptions: Mapping[str, Sequence[str]],
    statuses: Statuses,
    depths: Depths,
    paths: Mapping[str, str],
) -> Flow:
    """Return what the services have told; ``paths`` lead to actors, by their name."""
    queues = list(subscriptions)
    exchanges = sorted({row.exchange for row in EVENT_TYPES.values() if row.exchange})
    middle = max(len(queues), len(exchanges)) - 1
    store = statuses["order-events"].answer
    found = [
        Place("gateway", "service", {"this page": "answered"}, "good", 0, middle),
        _writer(store, middle),
        _outbox(store, middle),
        *(Place(name, "exchange", {}, "", 3, 2 * row) for row, name in enumerate(exchanges)),
        *(_queue(name, depths[name].answer, statuses, 2 * row) for row, name in enumerate(queues)),
        *(_consumer(name, statuses[name].answer, 2 * row) for row, name in enumerate(queues)),
    ]
    shown = [msgspec.structs.replace(place, path=_path(place, paths)) for place in found]
    pairs = [
        (("service", "gateway"), ("service", "order-events")),
        (("service", "order-events"), ("outbox", "outbox")),
        *((("outbox", "outbox"), ("exchange", name)) for name in exchanges),
        *(
            (("exchange", exchange), ("queue", queue))
            for queue, types in subscriptions.items()
            for exchange in sorted({EVENT_TYPES[type_].exchange or "" for type_ in types})
        ),
        *((("queue", queue), ("consumer", queue)) for queue in queues),
    ]
    return Flow(shown, wide(shown, pairs), tall(shown, pairs))


def _paths(found: Sequence[ProcessStatus]) -> dict[str, str]:
    """Return the paths of all actors by their name; of supervisors, those that no actor has."""
    everybody = [place for process in found for place in places(process.supervision)]
    everybody.sort(key=lambda place: place.node.kind == "supervisor")
    paths: dict[str, str] = {}
    for place in everybody:
        paths.setdefault(place.node.name, place.path)
    return paths


def _path(place: Place, paths: Mapping[str, str]) -> str:
    if place.kind == "exchange":
        return ""
    if place.kind == "queue" and place.figures.get("parked", "0") not in ("0", UNKNOWN):
        return f"/ops/dead-letters?queue={place.name}"
    actor = {
        "service": "http-gateway" if place.name == "gateway" else place.name,
        "outbox": "outbox-relay",
        "queue": f"consumer-{place.name}",
        "consumer": f"lanes-{place.name}",
    }[place.kind]
    return f"/ops/actors/{paths[actor]}" if actor in paths else ""


def _writer(status: ProcessStatus | None, row: int) -> Place:
    mailbox = None if status is None else status.mailbox
    figures = {
        "mailbox": UNKNOWN if mailbox is None else f"{mailbox.depth} of {mailbox.capacity}",
        "appended": sampled(status, APPENDED),
    }
    return Place("order-events", "service", figures, _tone(mailbox is not None), 1, row)


def _outbox(status: ProcessStatus | None, row: int) -> Place:
    relay = None if status is None else status.outbox
    if relay is None:
        unknown = dict.fromkeys(("pending", "oldest", "published"), UNKNOWN)
        return Place("outbox", "outbox", unknown, "bad", 2, row)
    figures = {
        "pending": str(relay.pending),
        "oldest": duration(relay.oldest_age_s) if relay.pending else "none",
        "published": sampled(status, PUBLISHED),
    }
    return Place("outbox", "outbox", figures, _tone(not relay.last_error), 2, row)


def _queue(name: str, depths: QueuesReply | None, statuses: Statuses, row: int) -> Place:
    rates = {
        "in": sampled(statuses["order-events"].answer, f"{name}.routed"),
        "out": sampled(statuses[name].answer, f"{name}.delivered"),
    }
    if depths is None or not depths.data:
        unknown = {**dict.fromkeys(("ready", "oldest", "later", "parked"), UNKNOWN), **rates}
        return Place(name, "queue", unknown, "bad", 4, row)
    own, *delays, dead = depths.data
    figures = {
        "ready": str(own.ready),
        "oldest": oldest(own),
        "later": str(sum(delay.ready for delay in delays)),
        "parked": str(dead.ready),
        **rates,
    }
    return Place(name, "queue", figures, _tone(dead.ready == 0 and own.consumers > 0), 4, row)


def _consumer(name: str, status: ProcessStatus | None, row: int) -> Place:
    messages = None if status is None else status.messages
    if messages is None:
        unknown = dict.fromkeys(("unacked", "in work", "keys", "acked"), UNKNOWN)
        return Place(name, "consumer", unknown, "bad", 5, row)
    figures = {
        "unacked": str(messages.consumer.unsettled),
        "in work": f"{messages.lanes.running} of {messages.lanes.depth}",
        "keys": str(messages.lanes.keys),
        "acked": sampled(status, f"{name}.acked"),
    }
    return Place(name, "consumer", figures, "good", 5, row)


def _since(statuses: Statuses) -> str | None:
    """Return since when everybody samples who answers."""
    answers = [asked.answer for asked in statuses.values()]
    since = [row.samples.since_ms for row in answers if row is not None and row.samples]
    return time_of_day(max(since)) if since else None


def _tone(well: bool) -> str:
    return "good" if well else "bad"
