"""One order from the inside: why it is stuck, its story, lanes and raw history, at any version."""

from functools import partial
from typing import Self

import msgspec
from quart import Response, request

from actors.dead_letters import StatesReply
from actors.domain.event_json import event_json
from actors.domain.events import Event
from actors.domain.order import Order, payment_status, shipping_status, status
from actors.gateway.auth import is_order_id
from actors.gateway.console import diagnosis
from actors.gateway.console.backstage import Asked, asked_all
from actors.gateway.console.chapters import chapters
from actors.gateway.console.console import Console
from actors.gateway.console.lanes import picture
from actors.gateway.console.letters import parked
from actors.gateway.console.session import Session
from actors.gateway.pages import story
from actors.gateway.pages.order import EVENTS_MAX, history
from actors.gateway.problems import not_found
from actors.gateway.replies import masked_email
from actors.services import CONSUMERS, ServiceName
from runtime.errors import Unavailable

VIEWS = ("story", "lanes", "raw")
PAGE = 100
_VERSION_DIGITS_MAX = 9


class Page(msgspec.Struct, frozen=True):
    """The part of a history that is shown: events after a version, up to one, of ``total``.

    ``asked`` is where it was to end; 0 for the newest ones.
    """

    after: int
    upto: int
    total: int
    asked: int

    @classmethod
    def ending(cls, total: int, text: str) -> Self:
        """Return the page that ends where a visitor's text says, or with the newest event."""
        asked = min(_whole(text), total)
        upto = max(asked or total, min(PAGE, total))
        return cls(max(0, upto - PAGE), upto, total, asked)

    @property
    def places(self) -> dict[str, int]:
        """Where the four buttons end; none where everything is on one page."""
        if self.total <= PAGE:
            return {}
        earlier, later = max(PAGE, self.after), self.upto + PAGE
        return {
            "First": PAGE,
            "Earlier": earlier,
            "Later": later if later < self.total else 0,
            "Last": 0,
        }


class OrderPages:
    """Shows one order; ``?at=`` as it was at a version, ``?view=`` in one of three ways.

    ``?order=newest`` begins with the newest event, in every view that is a list. A long history is
    shown `PAGE` events at a time: ``?upto=`` ends with a version.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._gateway = console.site.gateway

    async def show(self, session: Session, order_id: str) -> Response:
        """Show the order as it is, or was."""
        if not is_order_id(order_id):
            raise not_found()
        newest, events = await history(self._gateway, order_id)
        at = _version(newest)
        order = newest if at is None else await self._as_it_was(order_id, at)
        view, newest_first = request.args.get("view", ""), request.args.get("order") == "newest"
        page = Page.ending(order.version, self._console.argument("upto"))
        seen = await self._seen(order_id, events, page)
        backstage, now_ms = self._console.backstage, self._console.site.now_ms()
        states = await self._states(events, seen)
        letters = await parked(backstage.desks, _with_parked(states))
        entries = story.timeline(seen)[:: -1 if newest_first else 1]
        told = partial(diagnosis.consumed, states=states, letters=letters)
        return self._console.page(
            session,
            "order.html",
            order=order,
            newest=newest,
            at=at,
            view=view if view in VIEWS else VIEWS[0],
            views=VIEWS,
            status=status(order),
            payment=payment_status(order),
            shipping=shipping_status(order),
            standing=story.standing(order),
            card=story.card_text(order.payment),
            email=await self._email(order),
            findings=diagnosis.findings(
                newest, events, backstage.subscriptions, states, letters, now_ms
            ),
            locks=diagnosis.locks(order),
            entries=entries,
            chapters=chapters(entries),
            newest_first=newest_first,
            picture=picture(seen),
            consumed={event.id: told(event, backstage.subscriptions) for event in seen},
            raw={event.id: _data(event) for event in seen},
            page=page,
            mails=await self._mails(order_id),
        )

    async def _as_it_was(self, order_id: str, version: int) -> Order:
        return await self._gateway.order_events.order(order_id, at_version=version)

    async def _seen(self, order_id: str, events: list[Event], page: "Page") -> list[Event]:
        """Return the page's events: of those that are here, or out of the store."""
        if page.after + 1 >= events[0].version:
            return [event for event in events if page.after < event.version <= page.upto]
        return await self._gateway.order_events.events(
            order_id, after=page.after, limit=page.upto - page.after
        )

    async def _states(
        self, events: list[Event], seen: list[Event]
    ) -> dict[str, Asked[StatesReply]]:
        """Ask the inboxes for the page's events and, of the others, for the latest."""
        latest = events[-(EVENTS_MAX - PAGE) :]
        ids = [*dict.fromkeys(event.id for event in (*latest, *seen))]
        return await asked_all({queue: partial(self._known, queue, ids) for queue in CONSUMERS})

    async def _known(self, queue: ServiceName, ids: list[str]) -> StatesReply:
        return await self._console.backstage.desks.act(queue, "/inbox", StatesReply, {"ids": ids})

    async def _email(self, order: Order) -> str:
        entry = await self._gateway.order_events.personal(order.id, order.customer_ref)
        return "erased" if entry.customer is None else masked_email(entry.customer.email)

    async def _mails(self, order_id: str) -> list[story.Letter] | None:
        try:
            return story.letters(await self._gateway.correspondence.about(order_id))
        except Unavailable:
            return None


def _with_parked(states: dict[str, Asked[StatesReply]]) -> list[str]:
    """Return the queues that have parked something of the order: only they are looked through."""
    return [
        queue
        for queue, asked in states.items()
        if asked.answer is not None and "parked" in asked.answer.states.values()
    ]


def _version(newest: Order) -> int | None:
    """Return the version that is asked for; None for the newest one."""
    text = request.args.get("at", "")
    if not (text == "0" or _whole(text)):
        return None
    version = min(max(1, _whole(text)), newest.version)
    return None if version == newest.version else version


def _whole(text: str) -> int:
    """Return a version that a visitor asks for; 0 for what is none."""
    sound = text.isascii() and text.isdecimal() and len(text) <= _VERSION_DIGITS_MAX
    return int(text) if sound else 0


def _data(event: Event) -> str:
    return msgspec.json.format(bytes(event_json(event).data), indent=2).decode()
