"""What operators may ask of order-events: the global log, read in its order, and the outbox.

Every event is shown as the public API shows it. A page says where the next one begins. A message
that the broker lost after its confirm is offered again from the log: through the outbox, so in the
order of its key, and to the one queue that misses it.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated

import anyio
import msgspec
from quart import Blueprint, Response, request

from actors.deeds import deed
from actors.domain.event_json import EventJson, event_json
from actors.domain.events import EVENT_TYPES
from actors.domain.operating import EventsPage
from actors.domain.values import TidyText
from actors.operators import Why, decoded, number, operator_routes
from actors.order_events.appending import message_from
from actors.order_events.forgetting import add_erasures
from actors.order_events.parts import OrderEventsParts
from actors.order_events.searching import LIMIT_MAX, Search, figures, search
from actors.order_events.stream import event_from
from actors.order_events.wakeups import ALL
from actors.status import answer
from runtime import event_store, outbox
from runtime.errands import Done
from runtime.errors import Rejection
from runtime.event_log import POSITION_MAX, Narrowed, load_page, position_before
from runtime.host import Clock
from runtime.inbox import REPLAYED
from runtime.transaction import Transaction

NAMED_MAX = 20
WAIT_S_MAX = 30
IDLE_S_MAX = 10**8

Subscriptions = Mapping[str, Sequence[str]]
"""Queue, and the types of events that its service is meant to get."""


class Offer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event for one service; ``replayed`` where the service waits for a copy of its own."""

    event_id: Annotated[str, msgspec.Meta(pattern=r"^evt_[0-9A-Z]{26}$(?!\n)")]
    queue: Annotated[str, msgspec.Meta(pattern=r"^[a-z-]{1,64}$(?!\n)")]
    replayed: bool = False


class Reoffer(TidyText, frozen=True):
    """What to publish again, in one commit, and why."""

    offers: Annotated[tuple[Offer, ...], msgspec.Meta(min_length=1, max_length=500)]
    reason: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


def order_events_operator(
    token: str, parts: OrderEventsParts, subscriptions: Subscriptions, clock: Clock
) -> Blueprint:
    """Return the operator's routes of order-events.

    ``GET /events?after=&limit=&order=&type=&app=&since=&wait=`` events by position, recorded at
    ``since`` (Unix milliseconds) or later, stated by ``app``, after waiting at most ``wait`` s for
    the first one; with ``before=`` the last ones before a position; ``GET /events/{id}`` one of
    them. ``GET /orders?q=&status=&since=&idle=&before=&limit=`` what
    `actors.order_events.searching` finds; ``GET /figures`` how the orders stand. ``GET /outbox``
    the relay's figures; ``POST /outbox/flush`` wakes it; ``POST /outbox/reoffer`` with `Reoffer`.
    For erasures see `actors.order_events.forgetting`.
    """
    routes = operator_routes(token, parts.errands)
    _add_log(routes, parts)
    _add_orders(routes, parts, clock)
    _add_outbox(routes, parts, subscriptions)
    add_erasures(routes, parts, clock)
    return routes


def _add_log(routes: Blueprint, parts: OrderEventsParts) -> None:
    @routes.get("/events")
    async def events() -> Response:
        limit, wait_s = max(1, number("limit", 100)), number("wait", 0, WAIT_S_MAX)
        wanted, since_ms = _narrowed(), number("since", 0, POSITION_MAX)
        look = partial(_page, wanted, since_ms, limit, "before" in request.args)
        with parts.wakeups.watch(ALL) as committed:
            page = await parts.database.read(look)
            if not page.data and wait_s:
                with anyio.move_on_after(wait_s):
                    await committed.wait()
        return answer(page if page.data else await parts.database.read(look))

    @routes.get("/events/<event_id>")
    async def event(event_id: str) -> Response:
        return answer(await parts.database.read(partial(_one, event_id)))


def _add_orders(routes: Blueprint, parts: OrderEventsParts, clock: Clock) -> None:
    @routes.get("/orders")
    async def orders() -> Response:
        given = request.args
        wanted = Search(
            text=given.get("q", "").strip(),
            status=given.get("status"),
            since_ms=number("since", 0, POSITION_MAX) if "since" in given else None,
            idle_s=number("idle", 0, IDLE_S_MAX) if "idle" in given else None,
            before=number("before", 0, POSITION_MAX) if "before" in given else None,
            limit=number("limit", LIMIT_MAX, LIMIT_MAX),
        )
        now_ms = int(clock.wall() * 1000)
        return answer(await parts.database.read(lambda tx: search(tx, wanted, now_ms)))

    @routes.get("/figures")
    async def show_figures() -> Response:
        now_ms = int(clock.wall() * 1000)
        return answer(await parts.database.read(lambda tx: figures(tx, now_ms)))


def _add_outbox(routes: Blueprint, parts: OrderEventsParts, subscriptions: Subscriptions) -> None:
    @routes.get("/outbox")
    async def show_outbox() -> Response:
        return answer(parts.relay.statistics())

    @routes.post("/outbox/flush")
    async def flush() -> Response:
        reason = (await decoded(Why)).reason

        async def wake() -> Done:
            parts.relay.wake()
            figures = parts.relay.statistics()
            return Done(figures, f"woken, {figures.pending} pending")

        return answer(await parts.errands.carry_out(deed("outbox-flush", "outbox", reason), wake))

    @routes.post("/outbox/reoffer")
    async def offer_again() -> Response:
        reoffer = await decoded(Reoffer)
        work = partial(_offer_again, parts, reoffer.offers, subscriptions)
        what = deed("outbox-reoffer", f"{len(reoffer.offers)} messages", reoffer.reason)
        return answer(await parts.errands.carry_out(what, work))


async def _offer_again(
    parts: OrderEventsParts, offers: Sequence[Offer], subscriptions: Subscriptions
) -> Done:
    def work(tx: Transaction) -> None:
        for offer in offers:
            _enqueue(tx, offer, subscriptions)
        tx.on_commit(parts.relay.wake)

    await parts.database.write(work)
    ids = ", ".join(f"{offer.event_id} to {offer.queue}" for offer in offers[:NAMED_MAX])
    return Done({"offered": len(offers)}, f"offered {len(offers)}: {ids}")


def _enqueue(tx: Transaction, offer: Offer, subscriptions: Subscriptions) -> None:
    """Have one event's message published again, to one service only: same id, same bytes."""
    stored = event_store.event_by_id(tx.connection, offer.event_id)
    if stored is None or stored.type not in subscriptions.get(offer.queue, ()):
        message = f"{offer.event_id} is nothing that the queue {offer.queue} is meant to get."
        raise Rejection("not-offered", message, status_hint=422)
    message_again = message_from(stored, EVENT_TYPES[stored.type])
    if offer.replayed:
        headers = {**message_again.headers, REPLAYED: True}
        message_again = msgspec.structs.replace(message_again, headers=headers)
    outbox.enqueue(tx, stored.stream, "", offer.queue, message_again)


def _narrowed() -> Narrowed:
    """Return which events are asked for. Who states a type of event is the same at any time."""
    type_, app = request.args.get("type"), request.args.get("app")
    types = [
        row.name
        for row in EVENT_TYPES.values()
        if type_ in (None, row.name) and app in (None, row.app_id)
    ]
    return Narrowed(
        after=number("after", 0, POSITION_MAX),
        before=number("before", POSITION_MAX, POSITION_MAX),
        stream=request.args.get("order"),
        types=None if type_ is None and app is None else types,
    )


def _page(
    wanted: Narrowed, since_ms: int, limit: int, newest: bool, connection: sqlite3.Connection
) -> EventsPage:
    if since_ms:
        floor = position_before(connection, since_ms)
        wanted = msgspec.structs.replace(wanted, after=max(wanted.after, floor))
    stored = load_page(connection, wanted, limit, newest=newest)
    # Nothing more behind a page that is not full: go on after what was looked through.
    behind = 0 if newest else max(wanted.after, event_store.last_position(connection))
    last = stored[-1].position if stored else behind
    return EventsPage([event_json(event_from(event)) for event in stored], last)


def _one(event_id: str, connection: sqlite3.Connection) -> EventJson:
    stored = event_store.event_by_id(connection, event_id)
    if stored is None:
        raise Rejection("not-found", "There is no such event.", status_hint=404)
    return event_json(event_from(stored))
