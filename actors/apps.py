"""The HTTP side of the services that this process runs: their applications, and who serves them."""

from collections.abc import Awaitable, Callable, Mapping
from functools import cache, partial
from importlib.metadata import version
from typing import cast
from urllib.parse import urlsplit

import msgspec
from quart import Blueprint, Quart

from actors.asyncapi import describe_messages
from actors.credentials import LOOPBACK
from actors.dead_letters import Erase, message_service_operator
from actors.domain.correspondence import Correspondence
from actors.domain.order_events import OrderEvents
from actors.domain.order_events import Service as Caller
from actors.domain.shipments import Shipments
from actors.gateway.app import gateway_app
from actors.gateway.catalogue import built_in_catalogue
from actors.gateway.console.backstage import Backstage
from actors.gateway.context import Holds, Limits
from actors.gateway.streams import Streams
from actors.guard import Guarded
from actors.messaging import World
from actors.notification import assembly as notification
from actors.notification.rest import notification_app
from actors.order_events import rest
from actors.order_events.handlers import Ports
from actors.order_events.operating import order_events_operator
from actors.order_events.parts import OrderEventsParts
from actors.payment import assembly as payment
from actors.services import ServiceName
from actors.settings import Http, Internal, Settings, url_at
from actors.shipping import assembly as shipping
from actors.shipping.rest import shipping_app
from actors.status import StatusQuery
from actors.topology import SUBSCRIPTIONS, topology
from actors.traced import Traced
from actors.tree_desk import TreeDesk, add_tree
from runtime.amqp.figures import AskFigures, no_figures
from runtime.amqp.topology import QueueType
from runtime.child import ChildSpec
from runtime.errands import Errands
from runtime.http import App, HttpServer
from runtime.service import MessageService

Ready = Callable[[], dict[str, str]]
CONNECTIONS_MAX = 4000  # of our own services: the gateway alone has one for each event stream
CALLERS: tuple[Caller, ...] = ("gateway", "payment", "shipping", "notification")


class Apps:
    """Makes one server for each service; ``ready`` is what readiness of this process rests on.

    ``process`` returns what each service's status shows of the whole process (supervision, broker),
    ``tree`` is whom it supervises, ``figures`` what its broker tells of the queues.
    """

    def __init__(
        self,
        world: World,
        ready: Ready,
        checks: tuple[str, ...],
        process: Callable[[], Mapping[str, object]],
        tree: TreeDesk,
        figures: AskFigures = no_figures,
    ) -> None:
        self._world = world
        self._figures = figures
        self._ready = ready
        self._process = process
        self._tree = tree
        self._checks = {name: partial(self._check, name) for name in checks}

    def order_events(self, parts: OrderEventsParts) -> HttpServer:
        """Serve the event store to the other services."""
        ports = Ports(
            client=parts.client,
            tokens={caller: self._world.credentials.of_service(caller) for caller in CALLERS},
            outbox=parts.relay.statistics,
            flush_outbox=parts.relay.wake,
            checks=self._checks,
            status=lambda: {**parts.status(), **self._process()},
            telemetry=self._world.telemetry,
        )
        app = rest.create_app(ports)
        clock = self._world.host.clock
        desk = order_events_operator(self._operator_token, parts, SUBSCRIPTIONS, clock)
        self._add_desk(app, desk, parts.errands)
        return self._server("order-events", app, parts.wakeups.close)

    def payment(self, service: payment.Payment) -> HttpServer:
        """Serve health, metrics and status."""
        status = self._status(service.status)
        app = payment.payment_app(self._checks, self._world.telemetry, status)
        self._add_message_desk(app, service.messages)
        return self._server("payment", app)

    def shipping(self, service: shipping.Shipping) -> HttpServer:
        """Serve the has-shipped request to the gateway, and health, metrics and status."""
        app = shipping_app(
            service.shipments,
            tokens={"gateway": self._world.credentials.at_shipping()},
            ids=self._world.host.ids,
            checks=self._checks,
            telemetry=self._world.telemetry,
            status=self._status(service.status),
        )
        self._add_message_desk(app, service.messages, service.erase)
        return self._server("shipping", app)

    def notification(self, service: notification.Notification) -> HttpServer:
        """Serve the customers' mails to the gateway, and health, metrics and status."""
        status = self._status(service.status)
        app = notification_app(
            service.correspondence,
            token=self._world.credentials.at_notification(),
            checks=self._checks,
            telemetry=self._world.telemetry,
            status=status,
        )
        self._add_message_desk(app, service.messages, service.service.erase)
        return self._server("notification", app)

    def gateway(
        self,
        order_events: OrderEvents,
        shipments: Shipments,
        correspondence: Correspondence,
        streams: Streams,
        backstage: Backstage,
    ) -> HttpServer:
        """Serve the public API, the pages and the operator's console."""
        credentials, settings = self._world.credentials, self._world.settings
        app = gateway_app(
            order_events,
            shipments,
            correspondence,
            catalogue=built_in_catalogue(),
            secret=credentials.secret.reveal(),
            operator_token=credentials.operator_token.reveal(),
            viewer_token=credentials.viewer_token.reveal(),
            mode=settings.mode,
            host=self._world.host,
            telemetry=self._world.telemetry,
            checks=self._checks,
            streams=streams,
            limits=_limits(settings),
            address=lambda: address_of(settings.http, server.port),
            public_url=settings.http.public_url,
            holds=Holds(settings.payment.hold_s, settings.shipping.hold_s),
            mailbox=shows_mailbox(settings),
            backstage=backstage,
            asyncapi=_asyncapi(settings.retry.tiers_s, settings.broker.queue_type),
        )
        server = self._server("gateway", app, streams.stop)
        return server

    def _add_message_desk(
        self, app: Quart, service: MessageService, erase: Erase | None = None
    ) -> None:
        desk = message_service_operator(self._operator_token, service, self._figures, erase)
        self._add_desk(app, desk, service.errands)

    def _add_desk(self, app: Quart, desk: Blueprint, errands: Errands) -> None:
        add_tree(desk, errands, self._tree)
        app.register_blueprint(desk)

    def _status(self, status: Callable[[], Awaitable[msgspec.Struct]]) -> StatusQuery:
        async def query() -> object:
            return {**msgspec.structs.asdict(await status()), **self._process()}

        return query

    @property
    def _operator_token(self) -> str:
        return self._world.credentials.operator_token.reveal()

    def _server(
        self, name: ServiceName, app: Quart, stop_streams: Callable[[], None] | None = None
    ) -> HttpServer:
        row, key = addresses(self._world.settings)[name]
        public = isinstance(row, Http)
        inner = cast("App", app)
        guarded = Traced(Guarded(inner), app.url_map, self._world.telemetry)
        server = HttpServer(
            inner if public else guarded,
            row.bind,
            row.port,
            stop_streams=stop_streams,
            setting=f"{key}.port",
            connections_max=row.connections_max if isinstance(row, Http) else CONNECTIONS_MAX,
        )
        self._world.telemetry.gauge("http_connections", lambda: server.connections, service=name)
        return server

    def _check(self, name: str) -> str:
        return self._ready()[name]


def addresses(settings: Settings) -> dict[ServiceName, tuple[Http | Internal, str]]:
    """Return where each service listens, and the key of the table that says so."""
    return {
        "order-events": (settings.order_events, "order_events"),
        "payment": (settings.payment, "payment"),
        "shipping": (settings.shipping, "shipping"),
        "notification": (settings.notification, "notification"),
        "gateway": (settings.http, "http"),
    }


def address_of(http: Http, port: int) -> str:
    """Return where customers reach the gateway that listens on ``port``."""
    return http.public_url or url_at(http.bind, port)


def shows_mailbox(settings: Settings) -> bool:
    """Whether the pages show every customer's mails: in test mode, to this machine alone.

    A mail holds the link to its order, so nobody may see it whom it was not meant for.
    """
    http = settings.http
    public = urlsplit(http.public_url).hostname
    alone = http.bind in LOOPBACK and http.proxy_hops == 0 and public in (None, *LOOPBACK)
    return settings.mode == "test" and alone


def http_child(name: str, server: HttpServer, settings: Settings) -> ChildSpec:
    """Return the child that serves."""
    return ChildSpec(f"http-{name}", server.run, shutdown_s=settings.runtime.shutdown_timeout_s)


@cache
def _asyncapi(tiers_s: tuple[int, ...], queue_type: QueueType) -> bytes:
    declared = topology(tiers_s, queue_type)
    return describe_messages(declared, SUBSCRIPTIONS, version("ordermill"))


def _limits(settings: Settings) -> Limits:
    return Limits(
        body_bytes_max=settings.http.body_bytes_max,
        body_s_max=settings.http.request_timeout_s,
        proxy_hops=settings.http.proxy_hops,
        requests_max=settings.http.requests_max,
        rate_per_min=settings.api.rate_per_min or None,
        require_if_match=settings.api.require_if_match,
        heartbeat_s=settings.stream.heartbeat_s,
        streams_max=settings.stream.clients_max,
        token_ttl_s=settings.security.order_link_ttl_s,
    )
