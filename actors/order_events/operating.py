"""What operators may ask of order-events: the global log, read in its order.

Every event is shown as the public API shows it. A page says where the next one begins.
"""

import sqlite3
from functools import partial

import anyio
import msgspec
from quart import Blueprint, Response, request

from actors.domain.event_json import EventJson, event_json
from actors.operators import number, operator_routes
from actors.order_events.parts import OrderEventsParts
from actors.order_events.stream import event_from
from actors.order_events.wakeups import ALL
from actors.status import answer
from runtime import event_store
from runtime.errors import Rejection

POSITION_MAX = 2**53
WAIT_S_MAX = 30


class EventsPage(msgspec.Struct, frozen=True):
    """Events by position; ``last`` is the position to go on after."""

    data: list[EventJson]
    last: int


def order_events_operator(token: str, parts: OrderEventsParts) -> Blueprint:
    """Return the operator's routes of order-events.

    ``GET /events?after=&limit=&order=&type=&wait=`` events by position, after waiting at most
    ``wait`` seconds for the first one; ``GET /events/{id}`` one of them.
    """
    routes = operator_routes(token, parts.errands)

    @routes.get("/events")
    async def events() -> Response:
        after, limit = number("after", 0, POSITION_MAX), number("limit", 100)
        order, type_ = request.args.get("order"), request.args.get("type")
        look = partial(_page, after, max(1, limit), order, type_)
        wait_s = number("wait", 0, WAIT_S_MAX)
        with parts.wakeups.watch(ALL) as committed:
            page = await parts.database.read(look)
            if not page.data and wait_s:
                with anyio.move_on_after(wait_s):
                    await committed.wait()
        return answer(page if page.data else await parts.database.read(look))

    @routes.get("/events/<event_id>")
    async def event(event_id: str) -> Response:
        return answer(await parts.database.read(partial(_one, event_id)))

    return routes


def _page(
    after: int,
    limit: int,
    order: str | None,
    type_: str | None,
    connection: sqlite3.Connection,
) -> EventsPage:
    stored = event_store.load_all(connection, after, limit, stream=order, type_=type_)
    # Nothing more behind a page that is not full: go on after what was looked through.
    last = stored[-1].position if stored else max(after, event_store.last_position(connection))
    return EventsPage([event_json(event_from(event)) for event in stored], last)


def _one(event_id: str, connection: sqlite3.Connection) -> EventJson:
    stored = event_store.event_by_id(connection, event_id)
    if stored is None:
        raise Rejection("not-found", "There is no such event.", status_hint=404)
    return event_json(event_from(stored))
