"""The whole simulated world of one plan: which nodes there are, and what each of them runs.

``together``: one node, ``shop``, runs `ordermill up`. ``apart``: each service is a node, and the
broker one of its own. Provider, carrier and mailer are nodes in both. What a node runs is the
product's own `run_system` (or its broker's server), with a host of the simulator's.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import anyio
import msgspec

from actors.process import run_system
from actors.services import SERVICES, ServiceName
from actors.settings import Settings
from actors.system import System
from runtime.broker import journal
from runtime.broker.server import BrokerServer
from runtime.child import ChildSpec, SupervisorSpec
from runtime.database import open_database
from runtime.host import Host
from runtime.setting import decode_hook
from runtime.supervisor import Supervisor
from sim.customers import Shop
from sim.engine import Engine
from sim.node import Node
from sim.observer import Log, Observer
from sim.parties import Outside
from sim.plan import Plan
from sim.watch.witness import Depths, Trees, Witness

OPERATOR = "operator-token-operator-token-operator-token"
_BROKER_PORT = 5672
PORTS: dict[ServiceName, int] = {
    "gateway": 8080,
    "order-events": 8081,
    "payment": 8082,
    "shipping": 8083,
    "notification": 8084,
}
_SECRETS = {
    "secret": "s" * 40,
    "operator_token": OPERATOR,
    "viewer_token": "v" * 40,
    "service_secret": "i" * 40,
}
BROKER_USER, BROKER_PASSWORD = "guest", "guest-guest"


class SimulatedWorld:
    """All nodes of a run. ``incidents`` are log events of the product: (seconds, node, name)."""

    def __init__(self, engine: Engine, plan: Plan) -> None:
        self.engine = engine
        self.plan = plan
        self.log: Log | None = None
        self.incidents: list[tuple[float, str, str]] = []
        self.readied: Counter[str] = Counter()
        self.witness = Witness(engine)
        self.settings = _settings(plan)
        self.outside = Outside(engine, self.settings.payment.personality, self.witness.calling)
        engine.network.defaults.latency_s_max = plan.world.latency_s_max
        self.nodes: dict[str, Node] = dict(self.outside.nodes)
        if plan.world.shape == "apart" or plan.world.own_broker:
            self.nodes["broker"] = Node(engine, "broker", self._serve_broker)
        self.services = self._service_nodes()
        self.nodes.update(self.services)
        for node in self.nodes.values():
            node.storage.latency_s_max = plan.world.disk_s_max
            self.witness.attend(node)
        gateway = "gateway" if plan.world.shape == "apart" else "shop"
        heartbeat_s = self.settings.stream.heartbeat_s
        self.shop = Shop(engine, gateway, PORTS["gateway"], OPERATOR, heartbeat_s)
        self.witness.history = self.shop.history
        self.witness.watchers = self.shop.watchers
        self.stopping: dict[str, anyio.Event] = {}
        self.broker: BrokerServer | None = None

    def node_of(self, service: ServiceName) -> Node:
        """Return the node that runs a service."""
        return self.services.get(service) or self.services["shop"]

    def ready_in(self, queue: str) -> int:
        """Return how many messages are ready in a queue of the broker."""
        statistics = None if self.broker is None else self.broker.statistics()
        queues = [] if statistics is None else statistics.queues
        return sum(one.ready for one in queues if one.name == queue)

    def start(self) -> None:
        """Switch everything on."""
        for node in self.nodes.values():
            node.start()

    def terminate(self, name: str) -> None:
        """Send SIGTERM to a node's process, if there is one."""
        if self.nodes[name].up and name in self.stopping:
            self.witness.told_to_stop(name)
            self.stopping[name].set()

    def _service_nodes(self) -> dict[str, Node]:
        if self.plan.world.shape == "together":
            return {"shop": Node(self.engine, "shop", self._serve(SERVICES))}
        return {name: Node(self.engine, name, self._serve((name,))) for name in SERVICES}

    def _serve(self, services: Sequence[ServiceName]) -> Any:
        async def boot(node: Node, host: Host) -> None:
            stopping = self.stopping[node.name] = anyio.Event()
            await run_system(
                self._settings_on(host),
                host,
                self._telemetry(node),
                stopping=stopping,
                ready=lambda running: self._note_system(node, running.system),
                open_parties=self.outside.opener(),
                services=services,
            )

        return boot

    async def _serve_broker(self, node: Node, host: Host) -> None:
        stopping = self.stopping[node.name] = anyio.Event()
        telemetry = self._telemetry(node)
        async with open_database(host.disk, "broker.db", journal.MIGRATIONS) as database:
            server = BrokerServer(
                host,
                database,
                bind="0.0.0.0",  # noqa: S104 - an address of the simulated network
                port=_BROKER_PORT,
                users={BROKER_USER: BROKER_PASSWORD},
                telemetry=telemetry,
            )
            self.broker = server
            tree = SupervisorSpec("broker", (ChildSpec("broker", server.run),))
            supervisor = Supervisor(tree, host, telemetry)
            trees = tree, supervisor.tree
            await supervisor.run(
                stopping, started=lambda: self._note_ready(node, trees, lambda: ())
            )

    def _settings_on(self, host: Host) -> Settings:
        return msgspec.structs.replace(self.settings, data_dir=str(host.disk.root))

    def _telemetry(self, node: Node) -> Observer:
        observer = Observer(self.engine, node.name, self._note_incident, self.log)
        self.witness.holdings.measured_by(node.name, observer)
        return observer

    def _note_incident(self, node: str, name: str, fields: dict[str, object]) -> None:
        self.incidents.append((self.engine.now, node, name))
        self.witness.heard(node, name, fields)

    def _note_system(self, node: Node, system: System) -> None:
        messaging = system.messaging
        if messaging is not None and messaging.broker is not None:
            self.broker = messaging.broker
        trees = system.tree(), system.supervisor.tree
        self._note_ready(node, trees, lambda: _depths(system))

    def _note_ready(self, node: Node, trees: Trees, depths: Depths) -> None:
        self.readied[node.name] += 1
        self.witness.ready(node.name, trees, depths)
        self.engine.note("ready", node.name)


def _depths(system: System) -> list[tuple[str, int, int]]:
    """Return how full the mailboxes of a process are: the writer's, and each service's lanes."""
    found = []
    if system.order_events is not None:
        mailbox = system.order_events.ref.statistics()
        found.append(("order-events", mailbox.depth, mailbox.capacity))
    for service in (system.payment, system.shipping, system.notification):
        if service is not None:
            lanes = service.messages.statistics().lanes
            found.append((service.messages.queue, lanes.depth, lanes.capacity))
    return found


def _settings(plan: Plan) -> Settings:
    tables: dict[str, dict[str, Any]] = {"security": dict(_SECRETS), "api": {"rate_per_min": 0}}
    if plan.world.shape == "apart" or plan.world.own_broker:
        url = f"amqp://{BROKER_USER}:{BROKER_PASSWORD}@broker:{_BROKER_PORT}/"
        tables["broker"] = {"url": url}
    if plan.world.shape == "apart":
        for service, port in PORTS.items():
            key = {"gateway": "http", "order-events": "order_events"}.get(service, service)
            tables.setdefault(key, {}).update(bind="0.0.0.0", port=port)  # noqa: S104
        tables["order_events"]["url"] = f"http://order-events:{PORTS['order-events']}"
        tables["shipping"]["url"] = f"http://shipping:{PORTS['shipping']}"
        tables["notification"]["url"] = f"http://notification:{PORTS['notification']}"
    else:
        tables["http"] = {"bind": "0.0.0.0"}  # noqa: S104
    for name, value in plan.world.settings.items():
        table, _, key = name.partition(".")
        tables.setdefault(table, {})[key] = value
    return msgspec.convert(tables, Settings, strict=True, dec_hook=decode_hook)
