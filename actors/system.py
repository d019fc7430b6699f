"""The whole system in one process: what is opened, what is made, and who supervises whom.

Files belong to the process (opened before the tree starts, closed after it has stopped), work
belongs to actors. `System.tree` is the literal: children start in this order and stop in reverse,
so the gateway is the first to stop and the broker the last.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import cast, get_args

from quart import Quart

from actors.credentials import Credentials
from actors.domain.order_events import Service
from actors.gateway import signals as gateway_signals
from actors.gateway.app import gateway_app
from actors.gateway.catalogue import built_in_catalogue
from actors.gateway.context import Limits
from actors.gateway.streams import Streams
from actors.notification import assembly as notification
from actors.order_events import rest, schema
from actors.order_events import signals as order_events_signals
from actors.order_events.handlers import Ports
from actors.order_events.parts import OrderEventsParts
from actors.parties import Parties
from actors.payment import assembly as payment
from actors.payment import signals as payment_signals
from actors.settings import Http, Internal, Settings
from actors.shipping import assembly as shipping
from actors.shipping.rest import shipping_app
from actors.topology import topology
from runtime.amqp.address import Address
from runtime.amqp.link import Link
from runtime.amqp.publisher import LinkPublisher
from runtime.amqp.session import Session
from runtime.amqp.topology import declare
from runtime.broker.server import BrokerServer
from runtime.child import ChildSpec, SupervisorSpec
from runtime.database import Database
from runtime.host import Host
from runtime.http import App, HttpServer
from runtime.loop_lag import loop_lag_child
from runtime.outcomes import RetryPolicy
from runtime.service import Surroundings
from runtime.supervisor import Supervisor
from runtime.telemetry import Telemetry

METRICS = (*gateway_signals.METRICS, *payment_signals.METRICS)
EVENTS = {**gateway_signals.EVENTS, **order_events_signals.EVENTS, **payment_signals.EVENTS}

EMBEDDED = "embedded"
LOOPBACK = "127.0.0.1"
ACCOUNT = "ordermill"
CONSUMERS = ("payment", "shipping", "notification")
FILES: Mapping[str, tuple[str, ...]] = {
    "orders.db": schema.MIGRATIONS,
    payment.FILE: payment.MIGRATIONS,
    shipping.FILE: shipping.MIGRATIONS,
    notification.FILE: notification.MIGRATIONS,
}
BROKER_FILE = "broker.db"
CHECKS = ("store", "broker", "outbox")
SERVICES: tuple[Service, ...] = get_args(Service)


@dataclass(frozen=True, slots=True)
class Resources:
    """What belongs to the process rather than to an actor; ``databases`` by file name."""

    settings: Settings
    host: Host
    telemetry: Telemetry
    credentials: Credentials
    parties: Parties
    databases: Mapping[str, Database]


class System:
    """The parts, made once, before the tree starts; restarts leave them as they are."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self.databases = resources.databases
        settings = resources.settings
        self.broker = self._embedded_broker()
        self.publishing = self._link("publish")
        self.consuming = {queue: self._link(f"consume-{queue}") for queue in CONSUMERS}
        self.publisher = LinkPublisher(
            self.publishing, resources.telemetry, deadline_s=settings.broker.confirm_timeout_s
        )
        self.order_events = self._order_events()
        parties = resources.parties
        self.payment = payment.Payment(
            self.order_events.client("payment"),
            parties.provider,
            self._surroundings("payment", payment.FILE),
            hold_s=settings.payment.hold_s,
            sweep_s=settings.payment.sweep_s,
        )
        self.shipping = shipping.Shipping(
            self.order_events.client("shipping"),
            parties.carrier,
            self._surroundings("shipping", shipping.FILE),
            hold_s=settings.shipping.hold_s,
            auto_ship_s=settings.shipping.auto_ship_s,
        )
        self.notification = notification.Notification(
            self.order_events.client("notification"),
            parties.mailer,
            self._surroundings("notification", notification.FILE),
        )
        self.streams = Streams()
        self.servers = self._servers()
        self.supervisor = Supervisor(self.tree(), resources.host, resources.telemetry)

    def tree(self) -> SupervisorSpec:
        """Return who starts whom, in which order, and what a crash takes with it."""
        limits = self._resources.settings.runtime
        http = {
            name: ChildSpec(f"http-{name}", server.run, shutdown_s=limits.shutdown_timeout_s)
            for name, server in self.servers.items()
        }
        broker = () if self.broker is None else (ChildSpec("broker", self.broker.run),)
        return SupervisorSpec(
            "ordermill",
            (
                loop_lag_child(self._resources.host.clock, self._resources.telemetry),
                *broker,
                self.publishing.child(),
                SupervisorSpec(
                    "order-events", (*self.order_events.children(), http["order-events"])
                ),
                SupervisorSpec(
                    "payment-service",
                    (self.consuming["payment"].child(), self.payment.spec(), http["payment"]),
                ),
                SupervisorSpec(
                    "shipping-service",
                    (self.consuming["shipping"].child(), self.shipping.spec(), http["shipping"]),
                ),
                SupervisorSpec(
                    "notification-service",
                    (
                        self.consuming["notification"].child(),
                        self.notification.spec(),
                        http["notification"],
                    ),
                ),
                http["gateway"],
            ),
            restarts_max=limits.restarts_max,
            restart_window_s=limits.restart_window_s,
            backoff_s_max=limits.backoff_s_max,
        )

    @property
    def broker_name(self) -> str:
        """The broker's address, without the password."""
        return str(Address.parse(self._broker_url()))

    def ready(self) -> dict[str, str]:
        """Return what readiness rests on: ``ok``, or in a few words what is wrong."""
        down = [link for link in self._links() if link.state.state != "connected"]
        waited_s = self._resources.host.clock.monotonic() - min(
            (link.state.since for link in down), default=0.0
        )
        age_s = self.order_events.relay.statistics().oldest_age_s
        late = age_s >= self._resources.settings.outbox.warn_age_s
        return {
            "store": "ok",
            "broker": f"reconnecting {waited_s:.0f}s" if down else "ok",
            "outbox": f"lag {age_s:.0f}s" if late else "ok",
        }

    def _links(self) -> list[Link]:
        return [self.publishing, *self.consuming.values()]

    def _embedded_broker(self) -> BrokerServer | None:
        resources = self._resources
        if resources.settings.broker.url.reveal() != EMBEDDED:
            return None
        return BrokerServer(
            resources.host,
            resources.databases[BROKER_FILE],
            bind=LOOPBACK,
            port=0,
            users={ACCOUNT: resources.credentials.broker_password.reveal()},
            telemetry=resources.telemetry,
        )

    def _broker_url(self) -> str:
        if self.broker is None:
            return self._resources.settings.broker.url.reveal()
        password = self._resources.credentials.broker_password.reveal()
        return f"amqp://{ACCOUNT}:{password}@{LOOPBACK}:{self.broker.port}/"

    def _link(self, role: str) -> Link:
        resources, broker = self._resources, self._resources.settings.broker
        everything = topology(resources.settings.retry.tiers_s, broker.queue_type)

        async def prepare(session: Session) -> None:
            await declare(session, everything)

        return Link(
            self._broker_url,
            role,
            resources.host,
            resources.telemetry,
            prepare=prepare,
            heartbeat_s=broker.heartbeat_s,
            reconnect_s_min=broker.reconnect_s_min,
            reconnect_s_max=broker.reconnect_s_max,
        )

    def _order_events(self) -> OrderEventsParts:
        resources, settings = self._resources, self._resources.settings
        return OrderEventsParts(
            resources.databases["orders.db"],
            self.publisher,
            resources.host,
            resources.telemetry,
            mailbox_max=settings.runtime.mailbox_max,
            batch_max=settings.store.batch_max,
            outbox_poll_s=settings.outbox.poll_s,
            outbox_batch_max=settings.outbox.batch_max,
            outbox_warn_age_s=settings.outbox.warn_age_s,
            idempotency_retention_s=settings.idempotency.retention_s,
            deadline_s=settings.api.deadline_s,
        )

    def _surroundings(self, queue: str, file: str) -> Surroundings:
        resources, settings = self._resources, self._resources.settings
        return Surroundings(
            link=self.consuming[queue],
            publisher=self.publisher,
            database=resources.databases[file],
            host=resources.host,
            telemetry=resources.telemetry,
            retry=RetryPolicy(settings.retry.tiers_s, settings.retry.attempts_max),
            retention_s=settings.dedup.retention_s,
            lanes=settings.runtime.lanes,
            prefetch=settings.broker.prefetch,
        )

    # HTTP

    def _servers(self) -> dict[str, HttpServer]:
        settings = self._resources.settings
        apps = self._apps()
        endings = {"gateway": self.streams.stop, "order-events": self.order_events.wakeups.close}
        rows: dict[str, Http | Internal] = {
            "gateway": settings.http,
            "order-events": settings.order_events,
            "payment": settings.payment,
            "shipping": settings.shipping,
            "notification": settings.notification,
        }
        return {
            name: HttpServer(
                apps[name],
                row.bind,
                row.port,
                stop_streams=endings.get(name),
                setting="http.port" if name == "gateway" else f"{name.replace('-', '_')}.port",
            )
            for name, row in rows.items()
        }

    def _apps(self) -> dict[str, App]:
        checks = {name: partial(self._check, name) for name in CHECKS}
        telemetry = self._resources.telemetry
        tokens = {service: self._resources.credentials.of_service(service) for service in SERVICES}
        apps = {
            "gateway": self._gateway(),
            "order-events": rest.create_app(self._ports(tokens)),
            "payment": payment.payment_app(checks, telemetry, self.payment.status),
            "shipping": shipping_app(
                self.shipping.shipments,
                tokens={"gateway": tokens["gateway"]},
                ids=self._resources.host.ids,
                checks=checks,
                telemetry=telemetry,
                status=self.shipping.status,
            ),
            "notification": notification.notification_app(
                checks, telemetry, self.notification.status
            ),
        }
        return {name: cast("App", app) for name, app in apps.items()}

    def _check(self, name: str) -> str:
        return self.ready()[name]

    async def _checked(self, name: str) -> str:
        return self._check(name)

    def _ports(self, tokens: Mapping[Service, str]) -> Ports:
        return Ports(
            client=self.order_events.client,
            tokens=tokens,
            outbox=self.order_events.relay.statistics,
            flush_outbox=self.order_events.relay.wake,
            checks=self.ready,
            status=lambda: self.supervisor.tree(),
            telemetry=self._resources.telemetry,
        )

    def _gateway(self) -> Quart:
        resources, settings = self._resources, self._resources.settings
        credentials = resources.credentials
        return gateway_app(
            self.order_events.client("gateway"),
            self.shipping.shipments,
            catalogue=built_in_catalogue(),
            secret=credentials.secret.reveal(),
            operator_token=credentials.operator_token.reveal(),
            viewer_token=credentials.viewer_token.reveal(),
            mode=settings.mode,
            host=resources.host,
            telemetry=resources.telemetry,
            checks={name: partial(self._checked, name) for name in CHECKS},
            streams=self.streams,
            limits=Limits(
                body_bytes_max=settings.http.body_bytes_max,
                proxy_hops=settings.http.proxy_hops,
                rate_per_min=settings.api.rate_per_min or None,
                require_if_match=settings.api.require_if_match,
                heartbeat_s=settings.stream.heartbeat_s,
                streams_max=settings.stream.clients_max,
                token_ttl_s=settings.security.order_link_ttl_s,
            ),
            public_url=settings.http.public_url,
        )
