"""The system, or the part of it that one process runs: what is made, and who supervises whom.

Files belong to the process (opened before the tree starts, closed after it has stopped), work
belongs to actors. `System.tree` is the literal: children start in this order and stop in reverse,
so the gateway is the first to stop and the broker the last. A process that runs some services only
has the same tree with the others left out, and reaches them over HTTP instead of asking them.
"""

from collections.abc import Mapping
from typing import Protocol

from actors.apps import Apps, addresses, http_child
from actors.domain.correspondence import Correspondence
from actors.domain.order_events import OrderEvents
from actors.domain.order_events import Service as Caller
from actors.domain.shipments import Shipments
from actors.effective import shown_settings
from actors.gateway import signals as gateway_signals
from actors.gateway.console.backstage import Backstage
from actors.gateway.console.login_links import LoginLinks
from actors.gateway.streams import Streams
from actors.messaging import BROKER_FILE, Messaging
from actors.neighbours import EVENTS as NEIGHBOUR_EVENTS
from actors.notification import assembly as notification
from actors.notification.http_client import HttpCorrespondence
from actors.order_events import schema
from actors.order_events import signals as order_events_signals
from actors.order_events.http_client import HttpOrderEvents
from actors.order_events.parts import OrderEventsParts
from actors.order_links import OrderLinks
from actors.payment import assembly as payment
from actors.payment import signals as payment_signals
from actors.peeks import peeks_of
from actors.resources import Resources
from actors.samples import sampler_of
from actors.services import CONSUMERS, ServiceName
from actors.settings import url_at
from actors.shipping import assembly as shipping
from actors.shipping.http_client import HttpShipments
from actors.topology import SUBSCRIPTIONS
from actors.tree_desk import TreeDesk
from runtime.amqp.figures import no_figures
from runtime.child import ChildSpec, SupervisorSpec
from runtime.http import HttpServer
from runtime.loop_lag import loop_lag_child
from runtime.node import standing
from runtime.service import Surroundings
from runtime.supervisor import Supervisor
from runtime.waiting import Peek

METRICS = (*gateway_signals.METRICS, *order_events_signals.METRICS, *payment_signals.METRICS)
EVENTS = {
    **gateway_signals.EVENTS,
    **order_events_signals.EVENTS,
    **payment_signals.EVENTS,
    **NEIGHBOUR_EVENTS,
}
ROOT = "ordermill"
ACTORS = "actors"
FILES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "order-events": ("orders.db", schema.MIGRATIONS),
    "payment": (payment.FILE, payment.MIGRATIONS),
    "shipping": (shipping.FILE, shipping.MIGRATIONS),
    "notification": (notification.FILE, notification.MIGRATIONS),
}


class Consuming(Protocol):
    """A service that is fed by a queue."""

    def spec(self) -> SupervisorSpec:
        """Return the service's own subtree."""
        ...


class System:
    """The parts, made once, before the tree starts; restarts leave them as they are.

    A service that this process does not run is None, and its server is missing from ``servers``.
    """

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._world = resources.world
        self.databases = resources.databases
        self.messaging = self._messaging()
        self.order_events = self._order_events()
        self.payment = self._payment()
        self.shipping = self._shipping()
        self.notification = self._notification()
        self.login_links = LoginLinks(self._world.host)
        self.sampler = sampler_of(
            resources.services, self._world.host.clock, self._world.telemetry, SUBSCRIPTIONS
        )
        self.tree_desk = TreeDesk(
            ROOT,
            lambda path: self.supervisor.restart(path),
            self._world.telemetry.tail,
            self._peeks(),
        )
        self.servers = self._servers(self._apps())
        self.supervisor = Supervisor(self.tree(), self._world.host, self._world.telemetry)

    def tree(self) -> SupervisorSpec:
        """Return who starts whom, in which order, and what a crash takes with it."""
        limits, messaging = self._world.settings.runtime, self.messaging
        broker = None if messaging is None else messaging.broker
        return SupervisorSpec(
            ROOT,
            _present(
                loop_lag_child(self._world.host.clock, self._world.telemetry),
                self.sampler.child(),
                None if broker is None else ChildSpec("broker", broker.run),
                *([] if messaging is None else messaging.publishing()),
                *(neighbour.child() for neighbour in self._resources.neighbours.values()),
                self._store(self.order_events),
                self._consuming("payment", self.payment),
                self._consuming("shipping", self.shipping),
                self._consuming("notification", self.notification),
                self._http("gateway"),
            ),
            restarts_max=limits.restarts_max,
            restart_window_s=limits.restart_window_s,
            backoff_s_max=limits.backoff_s_max,
        )

    def _store(self, parts: OrderEventsParts | None) -> SupervisorSpec | None:
        if parts is None:
            return None
        return SupervisorSpec(
            "order-events", _present(*parts.children(), self._http("order-events"))
        )

    def _consuming(self, name: str, service: Consuming | None) -> SupervisorSpec | None:
        if service is None:
            return None
        assert self.messaging is not None, "whoever consumes has a link"
        link = self.messaging.consuming[name].child()
        return SupervisorSpec(f"{name}-service", _present(link, service.spec(), self._http(name)))

    def _http(self, name: str) -> ChildSpec | None:
        server = self.servers.get(name)
        return None if server is None else http_child(name, server, self._world.settings)

    def ready(self) -> dict[str, str]:
        """Return what readiness rests on here: ``ok``, or in a few words what is wrong."""
        return {**self._foundations(), ACTORS: standing(self.supervisor.tree())}

    def _foundations(self) -> dict[str, str]:
        checks: dict[str, str] = {}
        if self.databases:
            said = [(file, database.check()) for file, database in self.databases.items()]
            troubles = [f"{file}: {text}" for file, text in said if text != "ok"]
            checks["store"] = troubles[0] if troubles else "ok"
        if self.messaging is not None:
            checks["broker"] = self.messaging.check()
        if self.order_events is not None:
            age_s = self.order_events.relay.statistics().oldest_age_s
            late = age_s >= self._world.settings.outbox.warn_age_s
            checks["outbox"] = f"lag {age_s:.0f}s" if late else "ok"
        else:
            checks["order-events"] = self._resources.neighbours["order-events"].check()
        return checks

    @property
    def broker_name(self) -> str:
        """The broker's address, without the password; empty where this process needs none."""
        return "" if self.messaging is None else self.messaging.broker_name

    def _runs(self, name: ServiceName) -> bool:
        return name in self._resources.services

    def _messaging(self) -> Messaging | None:
        services = self._resources.services
        if services == ("gateway",):
            return None  # it publishes nothing and consumes nothing
        queues = [name for name in CONSUMERS if name in services]
        relays = self._runs("order-events")
        journal, management = self.databases.get(BROKER_FILE), self._resources.management
        return Messaging(self._world, queues, journal, management, relays=relays)

    def _orders_for(self, caller: Caller) -> OrderEvents:
        """Return order-events as one of our services reaches it: asked here, or over HTTP."""
        if self.order_events is not None:
            return self.order_events.client(caller)
        return HttpOrderEvents(
            self._resources.neighbours["order-events"].together,
            self._world.credentials.of_service(caller),
            deadline_s=self._world.settings.api.deadline_s,
        )

    def _shipments(self) -> Shipments:
        """Return shipping as the gateway reaches it: asked here, or over HTTP."""
        if self.shipping is not None:
            return self.shipping.shipments
        return HttpShipments(
            self._resources.neighbours["shipping"].http,
            self._world.credentials.at_shipping(),
        )

    def _correspondence(self) -> Correspondence:
        """Return notification as the gateway reaches it: asked here, or over HTTP."""
        if self.notification is not None:
            return self.notification.correspondence
        neighbour = self._resources.neighbours.get("notification")
        token = self._world.credentials.at_notification()
        return HttpCorrespondence(None if neighbour is None else neighbour.http, token)

    def _gateway_port(self) -> int | None:
        gateway = self.servers.get("gateway")
        return None if gateway is None else gateway.port

    # The services

    def _order_events(self) -> OrderEventsParts | None:
        if not self._runs("order-events"):
            return None
        assert self.messaging is not None, "the relay has a link"
        settings = self._world.settings
        return OrderEventsParts(
            self.databases["orders.db"],
            self.messaging.relay_publisher,
            self._world.host,
            self._world.telemetry,
            mailbox_max=settings.runtime.mailbox_max,
            batch_max=settings.store.batch_max,
            outbox_poll_s=settings.outbox.poll_s,
            outbox_batch_max=settings.outbox.batch_max,
            outbox_warn_age_s=settings.outbox.warn_age_s,
            idempotency_retention_s=settings.idempotency.retention_s,
            deadline_s=settings.api.deadline_s,
        )

    def _payment(self) -> payment.Payment | None:
        if not self._runs("payment"):
            return None
        provider, settings = self._resources.parties.provider, self._world.settings.payment
        assert provider is not None, "whoever takes money has somebody to take it from"
        return payment.Payment(
            self._orders_for("payment"),
            provider,
            self._surroundings("payment", payment.FILE),
            hold_s=settings.hold_s,
            sweep_s=settings.sweep_s,
        )

    def _shipping(self) -> shipping.Shipping | None:
        if not self._runs("shipping"):
            return None
        carrier, settings = self._resources.parties.carrier, self._world.settings.shipping
        assert carrier is not None, "whoever prepares parcels has somebody to carry them"
        return shipping.Shipping(
            self._orders_for("shipping"),
            carrier,
            self._surroundings("shipping", shipping.FILE),
            hold_s=settings.hold_s,
            auto_ship_s=settings.auto_ship_s,
        )

    def _notification(self) -> notification.Notification | None:
        if not self._runs("notification"):
            return None
        mailer = self._resources.parties.mailer
        assert mailer is not None, "whoever writes letters has somebody to deliver them"
        return notification.Notification(
            self._orders_for("notification"),
            mailer,
            self._surroundings("notification", notification.FILE),
            order_url=OrderLinks(self._world, self._gateway_port).url,
        )

    def _surroundings(self, queue: str, file: str) -> Surroundings:
        assert self.messaging is not None, "whoever consumes has a link"
        return self.messaging.surroundings(queue, self.databases[file])

    def _peeks(self) -> Mapping[str, Peek]:
        fed = (self.payment, self.shipping, self.notification)
        messages = [service.messages for service in fed if service is not None]
        return peeks_of(self.order_events, self.shipping, messages, self._world.host.clock)

    def _apps(self) -> Apps:
        checks = (*self._foundations(), ACTORS)
        figures = no_figures if self.messaging is None else self.messaging.figures
        return Apps(self._world, self.ready, checks, self._process, self.tree_desk, figures)

    def _process(self) -> Mapping[str, object]:
        """Return what the status of any service shows of the process that it runs in."""
        links = [] if self.messaging is None else self.messaging.links()
        samples = self.sampler.samples()
        return {"supervision": self.supervisor.tree(), "broker": links, "samples": samples}

    def _backstage(self) -> Backstage:
        assert self._resources.desks is not None, "whoever has a gateway has its console"
        settings = self._world.settings
        return Backstage(
            desks=self._resources.desks(self._address_of),
            links=self.login_links,
            here=self._resources.services,
            process=self._process,
            tree=self.tree_desk,
            settings=lambda: shown_settings(settings, self._world.sources),
            subscriptions=SUBSCRIPTIONS,
            outbox_warn_s=settings.outbox.warn_age_s,
        )

    def _address_of(self, name: ServiceName) -> str | None:
        """Return where a service listens: at the port that it took, or where the settings say."""
        row, _ = addresses(self._world.settings)[name]
        if name in self.servers:
            return url_at(row.bind, self.servers[name].port)
        return getattr(row, "url", "") or (url_at(row.bind, row.port) if row.port else None)

    def _servers(self, apps: Apps) -> dict[str, HttpServer]:
        servers: dict[str, HttpServer] = {}
        if self.order_events is not None:
            servers["order-events"] = apps.order_events(self.order_events)
        if self.payment is not None:
            servers["payment"] = apps.payment(self.payment)
        if self.shipping is not None:
            servers["shipping"] = apps.shipping(self.shipping)
        if self.notification is not None:
            servers["notification"] = apps.notification(self.notification)
        if self._runs("gateway"):
            servers["gateway"] = apps.gateway(
                self._orders_for("gateway"),
                self._shipments(),
                self._correspondence(),
                Streams(),
                self._backstage(),
            )
        return servers


def _present(
    *children: ChildSpec | SupervisorSpec | None,
) -> tuple[ChildSpec | SupervisorSpec, ...]:
    return tuple(child for child in children if child is not None)
