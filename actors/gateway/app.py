"""The API and the pages put together: two tables, a handler for each row, what is around them."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from importlib.metadata import version
from typing import cast

from quart import Quart, Response

from actors.domain.correspondence import Correspondence
from actors.domain.order_events import OrderEvents
from actors.domain.shipments import Shipments
from actors.gateway.admin.handlers import Admin
from actors.gateway.admin.topology import TopologyStream
from actors.gateway.auth import Authority
from actors.gateway.catalogue import Catalogue
from actors.gateway.commands import Commands
from actors.gateway.console.backstage import Backstage
from actors.gateway.console.console import Console
from actors.gateway.console.events import EventPages
from actors.gateway.console.routes import CONSOLE, console_handlers
from actors.gateway.context import NO_HOLDS, Gateway, Holds, Limits, Mode, facts
from actors.gateway.front import Front
from actors.gateway.idempotency import Intents
from actors.gateway.meta import Meta
from actors.gateway.openapi import describe
from actors.gateway.operation import Operation
from actors.gateway.operations import OPERATIONS
from actors.gateway.ordering import Ordering
from actors.gateway.pages.errors import ErrorPages
from actors.gateway.pages.reference import ReferencePages
from actors.gateway.pages.routes import PAGES, page_handlers
from actors.gateway.pages.site import Site
from actors.gateway.rate_limit import RateLimit
from actors.gateway.reads import Reads
from actors.gateway.refusals import Refusals
from actors.gateway.shop import Shop
from actors.gateway.streams import StreamReads, Streams
from actors.http_app import http_app
from actors.status import Check
from actors.traced import Traced
from runtime.host import Host
from runtime.http import App
from runtime.telemetry import Telemetry

Handler = Callable[..., Awaitable[Response]]


def gateway_app(
    order_events: OrderEvents,
    shipments: Shipments,
    correspondence: Correspondence,
    *,
    catalogue: Catalogue,
    secret: str,
    operator_token: str,
    viewer_token: str,
    mode: Mode,
    host: Host,
    telemetry: Telemetry,
    checks: Mapping[str, Check],
    streams: Streams,
    limits: Limits,
    address: Callable[[], str],
    public_url: str = "",
    holds: Holds = NO_HOLDS,
    mailbox: bool = False,
    backstage: Backstage,
    asyncapi: bytes,
) -> Quart:
    """Return the ASGI application of the public API, the pages and the operator's console.

    ``address`` returns where customers reach it. ``mailbox``: the pages show every customer's
    mails. ``telemetry`` must know the tables in ``signals``. The server calls ``streams.stop``
    before it closes its connections. ``public_url`` precedes the types of problems; without it they
    are relative, as is every link. ``asyncapi`` describes what goes over the broker.
    """
    authority = Authority(
        secret=secret,
        operator_token=operator_token,
        viewer_token=viewer_token,
        ttl_s=limits.token_ttl_s,
        wall=host.clock.wall,
    )
    gateway = Gateway(
        order_events=order_events,
        shipments=shipments,
        correspondence=correspondence,
        catalogue=catalogue,
        authority=authority,
        intents=Intents(secret),
        rate_limit=RateLimit(limits.rate_per_min, host.clock.monotonic),
        limits=limits,
        mode=mode,
        public_url=public_url.rstrip("/"),
        address=address,
        checks=checks,
        host=host,
        telemetry=telemetry,
        holds=holds,
        mailbox=mailbox,
    )
    return _app(gateway, streams, Site(gateway, secret), backstage, asyncapi)


def _app(
    gateway: Gateway, streams: Streams, site: Site, backstage: Backstage, asyncapi: bytes
) -> Quart:
    app = http_app("actors.gateway", gateway.limits.body_bytes_max, gateway.limits.body_s_max)
    operations = _operations(gateway.mode)
    openapi = _openapi(gateway.mode, gateway.public_url)
    ordering, stream_reads = Ordering(gateway), StreamReads(gateway, streams)
    log = EventPages(Console(site, backstage), stream_reads)
    topology = TopologyStream(backstage, stream_reads)
    handlers = {
        **_handlers(gateway, ordering, stream_reads, Meta(site, openapi, asyncapi)),
        **Admin(gateway, backstage, log, topology).handlers(),
    }
    for row in operations:
        _route(app, row.id, row.method, row.path, handlers[row.id], page=False)
    reference = ReferencePages(site, operations, asyncapi)
    page_handlers_by_id = page_handlers(site, ordering, stream_reads, reference, backstage.desks)
    for page in PAGES:
        if page.shown(test=gateway.mode == "test", mailbox=gateway.mailbox):
            handler = page_handlers_by_id[page.id]
            _route(app, page.id, page.method, page.path, handler, page=page.document)
    console = console_handlers(site, backstage, log, topology)
    for page in CONSOLE:
        _route(app, page.id, page.method, page.path, console[page.id], page=page.document)
    app.register_error_handler(Exception, Refusals(gateway, ErrorPages(site)).answer)
    app.before_serving(_async(streams.resume))
    # Quart's documented way to put something in front of an app; its types are Hypercorn's own.
    front = Front(
        cast("App", app.asgi_app),
        gateway.host,
        gateway.telemetry,
        gateway.public_url,
        requests_max=gateway.limits.requests_max,
        sheet=site.static.url("site.css"),
    )
    traced = Traced(front, app.url_map, gateway.telemetry)
    app.asgi_app = traced  # type: ignore[method-assign,assignment]
    return app


def _operations(mode: Mode) -> list[Operation]:
    return [row for row in OPERATIONS if mode == "test" or not row.test_mode_only]


@cache
def _openapi(mode: Mode, server: str) -> bytes:
    return describe(_operations(mode), version("ordermill"), server)


def _handlers(
    gateway: Gateway, ordering: Ordering, streams: StreamReads, meta: Meta
) -> dict[str, Handler]:
    shop, reads, commands = Shop(gateway), Reads(gateway), Commands(gateway, ordering)
    return {
        "products": shop.products,
        "product": shop.product,
        "test_cards": shop.test_cards,
        "place": commands.place,
        "update_payment": commands.update_payment,
        "update_address": commands.update_address,
        "cancel": commands.cancel,
        "ship": commands.ship,
        "orders": reads.orders,
        "order": reads.order,
        "events": reads.events,
        "stream": streams.stream,
        "healthz": meta.healthz,
        "readyz": meta.readyz,
        "metrics": meta.metrics,
        "openapi": meta.openapi,
        "asyncapi": meta.asyncapi,
        "problem": meta.problem,
    }


def _route(
    app: Quart, endpoint: str, method: str, path: str, handler: Handler, *, page: bool
) -> None:
    """Add a route; its template is noted before its handler runs."""

    async def routed(**arguments: str) -> Response:
        known = facts()
        known.route, known.page = path, page
        return await handler(**arguments)

    rule = path.replace("{", "<").replace("}", ">")
    app.add_url_rule(rule, endpoint, routed, methods=[method], provide_automatic_options=False)


def _async(call: Callable[[], None]) -> Callable[[], Awaitable[None]]:
    async def called() -> None:
        call()

    return called
