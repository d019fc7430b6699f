"""Every page of the console: one table, and who may see or do what.

Who has no session is sent to the login, and who may only look is refused what changes anything:
both here, before any handler. A handler is given the session, and the form that was sent.
"""

from collections.abc import Awaitable, Callable

from quart import Response

from actors.gateway.admin.topology import TopologyStream
from actors.gateway.console.actors import ActorPages
from actors.gateway.console.backstage import Backstage
from actors.gateway.console.console import Console
from actors.gateway.console.dead_letters import DeadLetterPages
from actors.gateway.console.events import EventPages
from actors.gateway.console.order import OrderPages
from actors.gateway.console.orders import OrdersPages
from actors.gateway.console.overview import OverviewPages
from actors.gateway.console.records import RecordPages
from actors.gateway.console.session import Session, Sessions, operator_only
from actors.gateway.console.topology import TopologyPages
from actors.gateway.pages.routes import Handler, Page
from actors.gateway.pages.site import Site

CONSOLE: tuple[Page, ...] = (
    Page("ops_login", "GET", "/ops/login"),
    Page("ops_log_in", "POST", "/ops/login"),
    Page("ops_log_out", "POST", "/ops/logout"),
    Page("ops_overview", "GET", "/ops"),
    Page("ops_orders", "GET", "/ops/orders"),
    Page("ops_order", "GET", "/ops/orders/{order_id}"),
    Page("ops_events", "GET", "/ops/events"),
    Page("ops_stream", "GET", "/ops/events/stream", document=False),
    Page("ops_event", "GET", "/ops/events/{event_id}"),
    Page("ops_outbox", "GET", "/ops/outbox"),
    Page("ops_flush", "POST", "/ops/outbox/flush"),
    Page("ops_topology", "GET", "/ops/topology"),
    Page("ops_topology_stream", "GET", "/ops/topology/stream", document=False),
    Page("ops_actor", "GET", "/ops/actors/{path:path}"),
    Page("ops_restart", "POST", "/ops/actors/{path:path}"),
    Page("ops_audit", "GET", "/ops/audit"),
    Page("ops_config", "GET", "/ops/config"),
    Page("ops_letters", "GET", "/ops/dead-letters"),
    Page("ops_work", "GET", "/ops/dead-letters/work"),
    Page("ops_stop", "POST", "/ops/dead-letters/stop"),
    Page("ops_letter", "GET", "/ops/dead-letters/{queue}/{path:message_id}"),
    Page("ops_review", "POST", "/ops/dead-letters/review"),
    Page("ops_deal", "POST", "/ops/dead-letters/{action}"),
)
Shown = Callable[..., Awaitable[Response]]


def console_handlers(
    site: Site, backstage: Backstage, events: EventPages, topology: TopologyStream
) -> dict[str, Handler]:
    """Return what answers each row of `CONSOLE`, by its id."""
    sessions, console = Sessions(site, backstage.links), Console(site, backstage)
    overview, letters = OverviewPages(console), DeadLetterPages(console)
    orders, order = OrdersPages(console), OrderPages(console)
    records, actors = RecordPages(console), ActorPages(console)
    open_to_all: dict[str, Handler] = {
        "ops_login": sessions.show,
        "ops_log_in": sessions.log_in,
        "ops_log_out": sessions.log_out,
    }
    looking: dict[str, Shown] = {
        "ops_overview": overview.show,
        "ops_orders": orders.index,
        "ops_order": order.show,
        "ops_events": events.index,
        "ops_stream": events.stream,
        "ops_event": events.show,
        "ops_outbox": records.outbox,
        "ops_topology": TopologyPages(console).show,
        "ops_topology_stream": _followed(topology),
        "ops_actor": actors.show,
        "ops_audit": records.audit,
        "ops_config": records.config,
        "ops_letters": letters.index,
        "ops_letter": letters.show,
        "ops_work": letters.work,
    }
    acting: dict[str, Shown] = {
        "ops_flush": records.flush,
        "ops_restart": actors.restart,
        "ops_review": letters.review,
        "ops_stop": letters.stop,
        "ops_deal": letters.deal,
    }
    return {
        **open_to_all,
        **{name: _looking(sessions, handler) for name, handler in looking.items()},
        **{name: _acting(site, sessions, handler) for name, handler in acting.items()},
    }


def _followed(topology: TopologyStream) -> Shown:
    async def follow(_: Session) -> Response:
        return topology.follow()

    return follow


def _looking(sessions: Sessions, handler: Shown) -> Handler:
    async def look(**arguments: str) -> Response:
        session = sessions.current()
        if session is None:
            return sessions.to_login()
        return await handler(session, **arguments)

    return look


def _acting(site: Site, sessions: Sessions, handler: Shown) -> Handler:
    async def act(**arguments: str) -> Response:
        session = sessions.current()
        if session is None:
            return sessions.to_login()
        operator_only(session)
        form = await site.form(session.id)
        return await handler(session, form, **arguments)

    return act
