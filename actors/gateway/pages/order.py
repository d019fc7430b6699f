"""An order's own page: where it stands, what happened, what can be done; and its live events."""

from quart import Response

from actors.domain.events import Event
from actors.domain.order import Order, status
from actors.gateway.console.backstage import Desks
from actors.gateway.context import Gateway
from actors.gateway.pages import story
from actors.gateway.pages.access import Access, link_path
from actors.gateway.pages.refunds import refund_trial
from actors.gateway.pages.site import Site
from actors.gateway.replies import masked_email
from actors.gateway.streams import StreamReads
from runtime.errors import Unavailable

EVENTS_MAX = 1000
_PAGE = 100


class OrderPages:
    """Shows an order to whoever has its cookie."""

    def __init__(self, site: Site, access: Access, streams: StreamReads, desks: Desks) -> None:
        self._site = site
        self._desks = desks
        self._access = access
        self._streams = streams
        self._gateway = site.gateway

    async def show(self, order_id: str) -> Response:
        """Show the order as it is now."""
        principal = self._access.admit(order_id)
        gateway, now_ms = self._gateway, self._site.now_ms()
        order, events = await history(gateway, order_id)
        refs = order.customer_ref, order.address_ref
        personal = await gateway.order_events.personal(order_id, *refs)
        edit = principal.rights == "edit"
        return self._site.page(
            "order.html",
            order=order,
            standing=story.standing(order),
            steps=story.steps(order),
            actions=story.actions(order, edit=edit),
            refund=await refund_trial(self._desks, order),
            hold=story.hold(order, gateway.holds, now_ms),
            entries=story.timeline(events),
            left_out=max(0, order.version - EVENTS_MAX),
            card=story.card_text(order.payment),
            email=None if personal.customer is None else masked_email(personal.customer.email),
            address=personal.address,
            link=self._link(order) if edit else None,
            mails=await self._mails(order_id),
            again=edit and (order.cancelled or status(order) == "payment_failed"),
        )

    def _link(self, order: Order) -> str:
        path = link_path(self._gateway.authority, order.id, order.created_at_ms)
        return f"{self._gateway.address()}{path}"

    async def _mails(self, order_id: str) -> list[story.Letter] | None:
        """Return the mails about the order; None while they cannot be had."""
        try:
            return story.letters(await self._gateway.correspondence.about(order_id))
        except Unavailable:
            return None

    async def stream(self, order_id: str) -> Response:
        """Answer with the order's events as they happen, to whoever has its cookie."""
        self._access.admit(order_id)
        return await self._streams.admitted(order_id)


async def history(gateway: Gateway, order_id: str) -> tuple[Order, list[Event]]:
    """Return the order and its events up to the same version, the last `EVENTS_MAX` of them."""
    order = await gateway.order_events.order(order_id)
    events: list[Event] = []
    after = max(0, order.version - EVENTS_MAX)
    while after < order.version:
        limit = min(_PAGE, order.version - after)
        page = await gateway.order_events.events(order_id, after=after, limit=limit)
        assert page, f"{order_id} is at version {order.version}: its events are there"
        events += page
        after = page[-1].version
    return order, events
