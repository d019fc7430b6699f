"""The global log: by position, a page of 100 at a time, and as it grows.

The first page begins with the oldest event, the last one ends with the newest; the addresses of
both, and of what is between, stay what they are.
"""

import re
from collections.abc import AsyncIterator
from functools import partial
from urllib.parse import quote, urlencode

import msgspec
from quart import Response, request

from actors.domain.event_json import EventJson
from actors.domain.events import APPS, EVENT_TYPES
from actors.domain.operating import EventsPage
from actors.gateway import parameters
from actors.gateway.auth import is_order_id
from actors.gateway.console.backstage import Desks, asked
from actors.gateway.console.console import Console
from actors.gateway.console.session import Session
from actors.gateway.context import header
from actors.gateway.problems import not_found
from actors.gateway.streams import BYE, HEARTBEAT, RETRY, StreamReads
from runtime.errors import Rejection

PAGE = 100
WAIT_S_MAX = 30
LIST_PATH = "/ops/events"
POSITION_MAX = 2**53
_MINUTE = re.compile("[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}")
_encode = msgspec.json.Encoder().encode


class EventPages:
    """The log, one event of it, and its stream."""

    def __init__(self, console: Console, streams: StreamReads) -> None:
        self._console = console
        self._desks = console.backstage.desks
        self._streams = streams

    async def index(self, session: Session) -> Response:
        """Show a page of the log: after or before a position, or the newest events."""
        chosen = _filters()
        after, before = request.args.get("after"), request.args.get("before")
        params: dict[str, str | int] = {"limit": PAGE, **chosen}
        if since := chosen.get("since"):
            params["since"] = _minute_ms(since)
        if after is not None:
            params["after"] = parameters.whole("after", after)
        else:
            newest = POSITION_MAX
            params["before"] = newest if before is None else parameters.whole("before", before)
        found = await asked(self._desks.ask("order-events", "/events", EventsPage, params=params))
        rows = [] if found.answer is None else found.answer.data
        return self._console.page(
            session,
            "events.html",
            found=found,
            rows=rows,
            chosen=chosen,
            types=list(EVENT_TYPES),
            apps=APPS,
            newest=after is None and before is None,
            position=0 if found.answer is None else found.answer.last,
            places=_places(chosen, rows),
        )

    async def show(self, session: Session, event_id: str) -> Response:
        """Show one event."""
        path = f"/events/{quote(event_id, safe='')}"
        try:
            event = await self._desks.ask("order-events", path, EventJson)
        except Rejection as refusal:
            raise not_found() from refusal
        data = msgspec.json.format(bytes(event.data), indent=2).decode()
        return self._console.page(session, "event.html", event=event, data=data)

    async def stream(self, session: Session) -> Response:
        """Show the log as it grows."""
        return self.follow()

    def follow(self) -> Response:
        """Answer with the log's events after a position, and those to come."""
        seen = header("last-event-id") or request.args.get("after", "0")
        after = parameters.whole("after", seen)
        return self._streams.opened(self._frames(after))

    async def _frames(self, after: int) -> AsyncIterator[bytes]:
        end = self._streams.end()
        wait_s = max(1, min(int(self._streams.heartbeat_s), WAIT_S_MAX))
        yield RETRY
        while not self._streams.outlived(end):
            work = partial(_next_page, self._desks, after, wait_s)
            page = await self._streams.unless_stopped(work)
            if page is None:
                yield BYE
                return
            for event in page.data:
                yield _frame(event)
            after = max(after, page.last)
            if not page.data:
                yield HEARTBEAT


async def _next_page(desks: Desks, after: int, wait_s: int) -> EventsPage:
    params: dict[str, str | int] = {"after": after, "limit": PAGE, "wait": wait_s}
    return await desks.ask("order-events", "/events", EventsPage, params=params, wait_s=wait_s)


def _frame(event: EventJson) -> bytes:
    return b"id: %d\nevent: order.event\ndata: %b\n\n" % (event.position, _encode(event))


def _filters() -> dict[str, str]:
    """Return the filters that can be meant: types, services and minutes that there are, and ids."""
    type_, app = request.args.get("type", ""), request.args.get("app", "")
    order, since = request.args.get("order", "").strip(), request.args.get("since", "")
    chosen = {
        "type": type_ if type_ in EVENT_TYPES else "",
        "app": app if app in APPS else "",
        "order": order,
        "since": since,
    }
    if order and not is_order_id(order):
        raise not_found()
    if since:
        _minute_ms(since)
    return {name: text for name, text in chosen.items() if text}


def _minute_ms(text: str) -> int:
    """Return the time that a browser's field without a time zone means: in UTC, as shown here."""
    return parameters.time_ms("since", f"{text}:00Z" if _MINUTE.fullmatch(text) else text)


def _places(chosen: dict[str, str], rows: list[EventJson]) -> dict[str, str]:
    """Return where the four buttons lead; they never move, whatever is on the page."""
    first, last = (rows[0].position, rows[-1].position) if rows else (1, 0)
    return {
        "First": _path(chosen, after=0),
        "Earlier": _path(chosen, before=first),
        "Later": _path(chosen, after=last),
        "Last": _path(chosen),
    }


def _path(chosen: dict[str, str], **where: int) -> str:
    query = urlencode({**chosen, **where})
    return f"{LIST_PATH}?{query}" if query else LIST_PATH
