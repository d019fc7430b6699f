"""One operating system process that runs services of ours: opens, runs, closes, in this order."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import anyio
import httpx

from actors.apps import addresses
from actors.credentials import load_credentials
from actors.desks import Address, HttpDesks
from actors.messaging import BROKER_FILE, EMBEDDED, World
from actors.neighbours import Neighbour, neighbour_url
from actors.notification.maildir import FOLDER as MAIL_FOLDER
from actors.notification.transport import MAILDIR
from actors.parties import OpenParties, built_in_parties
from actors.resources import Resources
from actors.service_client import ServiceClient, ServiceTransport, service_transport
from actors.services import SERVICES, ServiceName
from actors.settings import Notification, OrderEventsHttp, Settings, Shipping, url_at
from actors.system import FILES, System
from runtime.amqp.address import Address as BrokerAddress
from runtime.amqp.management import Endpoint, Management
from runtime.amqp.session import connect
from runtime.broker import journal
from runtime.database import Database, open_database
from runtime.errors import ConfigurationError, EnvironmentUnready, Unavailable
from runtime.host import Host
from runtime.telemetry import Telemetry

DESKS_MAX = 32
DESKS_IDLE_MAX = 2


@dataclass(frozen=True, slots=True)
class Running:
    """Services that serve: ``urls`` by name, and where their files are.

    ``url`` is the public API's, empty where the gateway runs in another process. ``mails`` says
    where mails go, without a password.
    """

    url: str
    urls: Mapping[ServiceName, str]
    broker: str
    data_dir: Path
    mail_dir: Path
    mails: str
    system: System

    def login_path(self) -> str:
        """Return the path of a new link that logs an operator in at the console, once."""
        return self.system.login_links.make()


async def run_system(
    settings: Settings,
    host: Host,
    telemetry: Telemetry,
    *,
    stopping: anyio.Event,
    ready: Callable[[Running], None],
    open_parties: OpenParties = built_in_parties,
    services: Sequence[ServiceName] = SERVICES,
    sources: Mapping[str, str] | None = None,
) -> None:
    """Serve until ``stopping`` is set and everything has stopped; ``ready`` is called once.

    ``sources`` says where each setting came from, for the operator's page of them.

    Raises `ConfigurationError` where a setting or what it names cannot be used, and `StoreBroken`
    after a disk failure: then the process must end, and a new one finds what was committed.
    """
    chosen = tuple(name for name in SERVICES if name in services)
    assert chosen, "a process runs one service at least"
    _refuse_a_broker_of_ones_own(settings, chosen)
    management = management_endpoint(settings)
    async with AsyncExitStack() as stack:
        credentials = await load_credentials(settings, host, chosen)
        world = World(settings, host, telemetry, credentials, sources or {})
        databases = await _databases(stack, world, chosen)
        resources = Resources(
            world=world,
            services=chosen,
            parties=await stack.enter_async_context(open_parties(settings, host, chosen)),
            databases=databases,
            neighbours=await _neighbours(stack, world, chosen),
            desks=await _desks(stack, world) if "gateway" in chosen else None,
            management=await _management(stack, world, management),
        )
        system = System(resources)
        await system.supervisor.run(stopping, started=lambda: ready(_running(system, settings)))


def _refuse_a_broker_of_ones_own(settings: Settings, services: Sequence[ServiceName]) -> None:
    apart = len(services) < len(SERVICES) and tuple(services) != ("gateway",)
    if apart and settings.broker.url.reveal() == EMBEDDED:
        raise ConfigurationError(
            "broker.url is embedded: that broker is inside one process, and these services are "
            "to share it with others",
            hint="start RabbitMQ or ordermill broker, and set broker.url to amqp://...; "
            "or run everything at once: ordermill up, ordermill serve all --split",
        )


async def _databases(
    stack: AsyncExitStack, world: World, services: Sequence[ServiceName]
) -> dict[str, Database]:
    files = dict(FILES[name] for name in services if name in FILES)
    if len(services) == len(SERVICES) and world.settings.broker.url.reveal() == EMBEDDED:
        files[BROKER_FILE] = journal.MIGRATIONS
    return {
        file: await stack.enter_async_context(open_database(world.host.disk, file, migrations))
        for file, migrations in files.items()
    }


async def _neighbours(
    stack: AsyncExitStack, world: World, services: Sequence[ServiceName]
) -> dict[str, Neighbour]:
    settings = world.settings
    needed: dict[str, tuple[str, OrderEventsHttp | Shipping | Notification]] = {}
    if "order-events" not in services:
        needed["order-events"] = ("order_events", settings.order_events)
    if "gateway" in services and "shipping" not in services:
        needed["shipping"] = ("shipping", settings.shipping)
    known = settings.notification.url or settings.notification.port
    if "gateway" in services and "notification" not in services and known:
        needed["notification"] = ("notification", settings.notification)
    # Each stream holds a connection while it waits; the rest is for requests and messages.
    connections_max = settings.stream.clients_max + settings.runtime.mailbox_max
    found: dict[str, Neighbour] = {}
    for name, (key, row) in needed.items():
        transport = service_transport(connections_max)
        _gauge(world, transport, name)
        http = ServiceClient(neighbour_url(key, row), transport)
        await stack.enter_async_context(aclosing(http))
        found[name] = Neighbour(name, http, world.host.clock, world.telemetry)
    return found


def _gauge(world: World, transport: ServiceTransport, service: str) -> None:
    in_use = transport.connections_in_use
    world.telemetry.gauge("http_client_connections_in_use", in_use, service=service)


async def _desks(stack: AsyncExitStack, world: World) -> Callable[[Address], HttpDesks]:
    # Each page that follows the log holds a connection while it waits.
    connections_max = world.settings.stream.clients_max + DESKS_MAX
    # An idle one is closed by the next question; there may be none for long after many at once.
    transport = service_transport(connections_max, DESKS_IDLE_MAX)
    _gauge(world, transport, "operators")
    http = ServiceClient("", transport)
    await stack.enter_async_context(aclosing(http))
    return partial(
        HttpDesks,
        http,
        world.host.clock,
        operator_token=world.credentials.operator_token.reveal(),
        service_token=world.credentials.of_service("gateway"),
    )


def management_endpoint(settings: Settings) -> Endpoint | None:
    """Return where RabbitMQ's management API is; None where nobody has said so.

    Raises `ConfigurationError`.
    """
    text = settings.broker.management_url.reveal()
    if not text:
        return None
    url = settings.broker.url.reveal()
    if url == EMBEDDED:
        raise ConfigurationError(
            "broker.management_url is RabbitMQ's, and broker.url is embedded",
            hint="set broker.url to amqp://..., or leave broker.management_url out",
        )
    return Endpoint.parse(text, BrokerAddress.parse(url))


async def _management(
    stack: AsyncExitStack, world: World, endpoint: Endpoint | None
) -> Management | None:
    if endpoint is None:
        return None
    address = BrokerAddress.parse(world.settings.broker.url.reveal())
    transport = service_transport(1, 1, tls=address.tls())
    http = httpx.AsyncClient(base_url=endpoint.base, transport=transport, trust_env=False)
    await stack.enter_async_context(http)
    return Management(http, endpoint.account, address.vhost, world.host.clock)


def _running(system: System, settings: Settings) -> Running:
    rows = {name: row for name, (row, _) in addresses(settings).items()}
    urls = {
        name: url_at(rows[name].bind, system.servers[name].port)
        for name in SERVICES
        if name in system.servers
    }
    data_dir = Path(settings.data_dir)
    mail_dir = data_dir / MAIL_FOLDER / "new"
    transport = str(settings.mail.transport)
    return Running(
        url=(settings.http.public_url or urls["gateway"]) if "gateway" in urls else "",
        urls=urls,
        broker=system.broker_name,
        data_dir=data_dir,
        mail_dir=mail_dir,
        mails=str(mail_dir) if transport == MAILDIR else transport,
        system=system,
    )


async def preflight(settings: Settings) -> None:
    """Connect to a configured broker once, so that a wrong address is an answer, not a wait.

    Raises `EnvironmentUnready`. Only a person's first start needs this: a running system waits for
    its broker, and keeps accepting orders meanwhile.
    """
    if settings.broker.url.reveal() == EMBEDDED:
        return
    address = BrokerAddress.parse(settings.broker.url.reveal())
    try:
        session = await connect(address, settings.broker.heartbeat_s, "ordermill preflight", 0)
    except Unavailable as error:
        raise EnvironmentUnready(
            f"cannot reach the broker at {address}",
            hint="start RabbitMQ, or run without one: ordermill up --broker embedded "
            "(check everything: ordermill check)",
        ) from error
    await session.close()
