"""A real Order Event Service for tests: database, writer and relay run; only the broker is fake."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import anyio
import httpx
from quart import Quart

from actors.batching import ALONE_MAX, BatchingClient
from actors.domain.order_events import Intent, Service
from actors.order_events.client import LocalOrderEvents
from actors.order_events.handlers import Ports
from actors.order_events.http_client import HttpOrderEvents
from actors.order_events.parts import OrderEventsParts
from actors.order_events.rest import create_app
from actors.order_events.schema import MIGRATIONS
from actors.order_events.signals import METRICS
from actors.service_client import ServiceClient
from actors.status import Check
from runtime.database import open_database
from runtime.errors import BrokerLost
from runtime.host import Host, production_host
from runtime.message import Message
from runtime.publishing import Outgoing
from runtime.telemetry import quiet_telemetry
from tests.harness.running import running


class RecordingPublisher:
    """A broker that takes everything (or, while ``down``, nothing) and remembers it."""

    def __init__(self) -> None:
        self.published: list[Outgoing] = []
        self.down = False

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """Confirm at once."""
        if self.down:
            raise BrokerLost("the broker is down")
        self.published.append(Outgoing(exchange, routing_key, message))

    async def publish_batch(self, batch: Sequence[Outgoing]) -> list[Exception | None]:
        """Confirm all at once."""
        if self.down:
            return [BrokerLost("the broker is down") for _ in batch]
        self.published.extend(batch)
        return [None for _ in batch]

    def types(self) -> list[str]:
        """Names of the published events, in order."""
        return [outgoing.message.type for outgoing in self.published]


@asynccontextmanager
async def order_events_parts(
    folder: Path, *, host: Host | None = None, publisher: RecordingPublisher | None = None
) -> AsyncIterator[OrderEventsParts]:
    """Run the service's children; `OrderEventsParts.client` gives each service its client."""
    host = host or production_host(folder)
    async with open_database(host.disk, "orders.db", MIGRATIONS) as database:
        parts = OrderEventsParts(
            database, publisher or RecordingPublisher(), host, quiet_telemetry(METRICS)
        )
        async with running(*(child.run for child in parts.children())):
            yield parts


@asynccontextmanager
async def local_order_events(
    folder: Path,
    service: Service = "gateway",
    *,
    host: Host | None = None,
    publisher: RecordingPublisher | None = None,
) -> AsyncIterator[LocalOrderEvents]:
    """Run the service and give one client of it."""
    async with order_events_parts(folder, host=host, publisher=publisher) as parts:
        yield parts.client(service)


TOKENS: dict[Service, str] = {
    "gateway": "token-of-the-gateway",
    "payment": "token-of-payment",
    "shipping": "token-of-shipping",
    "notification": "token-of-notification",
}


def order_events_app(
    parts: OrderEventsParts, *, checks: Mapping[str, Check] | None = None
) -> Quart:
    """Return the service's HTTP application over running parts."""
    return create_app(
        Ports(
            client=parts.client,
            tokens=TOKENS,
            outbox=parts.relay.statistics,
            flush_outbox=parts.relay.wake,
            checks=checks or {"store": lambda: "ok"},
            status=lambda: {"supervision": {}},
            telemetry=quiet_telemetry(METRICS),
        )
    )


@asynccontextmanager
async def order_events_over_http(
    parts: OrderEventsParts, *, together: bool = False
) -> AsyncIterator[Callable[[Service], HttpOrderEvents]]:
    """Reach running parts through their HTTP API, without a socket; ``together``: by batches."""
    transport = httpx.ASGITransport(app=order_events_app(parts))
    async with aclosing(ServiceClient("http://order-events", transport)) as http:
        client = BatchingClient(http, alone_max=0 if together else ALONE_MAX)
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(client.run)
            yield lambda service: HttpOrderEvents(client, TOKENS[service])
            tasks.cancel_scope.cancel()


def sample_intent(
    key: str | None = None,
    *,
    fingerprint: str = "f1",
    expected_version: int | None = None,
    principal: str = "guest",
    route: str = "POST /v1/orders",
    correlation_id: str = "req_1",
) -> Intent:
    """Return an intent, idempotent if it has a key."""
    return Intent(
        principal=principal,
        route=route,
        correlation_id=correlation_id,
        key=key,
        fingerprint=None if key is None else fingerprint,
        expected_version=expected_version,
    )
