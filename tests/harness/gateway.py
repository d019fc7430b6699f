"""The public API over a real Order Event Service, driven by Quart's test client."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from quart import Quart
from quart.typing import TestClientProtocol
from werkzeug.datastructures import Headers

from actors.asyncapi import describe_messages
from actors.desks import HttpDesks
from actors.domain.events import (
    PaymentAuthFailed,
    PaymentAuthInProgress,
    PaymentCaptured,
    PaymentRefunded,
    PaymentRefundInProgress,
    Shipped,
    ShippingPreparationInProgress,
    ShippingPrepared,
)
from actors.domain.operating import SettingShown
from actors.domain.order_events import OrderEvents, Recorded
from actors.domain.values import Money
from actors.gateway.app import gateway_app
from actors.gateway.catalogue import Catalogue, built_in_catalogue
from actors.gateway.console.backstage import Backstage
from actors.gateway.console.login_links import LoginLinks
from actors.gateway.context import NO_HOLDS, Holds, Limits, Mode
from actors.gateway.signals import EVENTS, METRICS
from actors.gateway.streams import Streams
from actors.notification.assembly import FILE, MIGRATIONS
from actors.notification.correspondence import LocalCorrespondence
from actors.notification.letters import Letters
from actors.notification.maildir import Maildir
from actors.order_events.parts import OrderEventsParts
from actors.service_client import ServiceClient
from actors.status import Check
from actors.topology import SUBSCRIPTIONS, topology
from actors.tree_desk import TreeDesk
from runtime.database import open_database
from runtime.errors import Unavailable
from runtime.host import Host, Ids, production_host
from runtime.log_tail import LogTail
from runtime.node import NodeStatus
from runtime.telemetry import Telemetry
from tests.harness.browser_client import BrowserClient, Response
from tests.harness.order_events import order_events_parts
from tests.harness.plain_client import plain_service_client
from tests.harness.running import running

OPERATOR = {"Authorization": "Bearer operator-token-of-the-tests-0001"}
VIEWER = {"Authorization": "Bearer viewer-token-of-the-tests-000001"}
SECRET = "a-secret-of-the-tests-that-is-long-enough"
NOW_S = 1_790_000_000.0

ADDRESS = {
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "city": "London",
    "postal_code": "SW1Y 4JH",
    "country": "GB",
}
CARD = {"number": "4242 4242 4242 4242", "exp_month": 12, "exp_year": 2099, "cvc": "123"}
ORDER = {
    "customer": {"name": "Ada Lovelace", "email": "ada@example.org"},
    "items": [{"sku": "MUG-1", "quantity": 2}, {"sku": "TEA-1", "quantity": 1}],
    "shipping_address": ADDRESS,
    "payment": {"card": CARD},
}
TOTAL = Money(4890, "EUR")


class SetClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_s = NOW_S

    def monotonic(self) -> float:
        """Seconds, moved by hand."""
        return self.now_s

    def wall(self) -> float:
        """The same seconds."""
        return self.now_s


class ShippingDesk:
    """Shipments without a shipping service: the request is appended directly, unless down."""

    def __init__(self, order_events: OrderEvents) -> None:
        self._order_events = order_events
        self.down = False

    async def shipped(
        self, order_id: str, carrier: str, tracking: str, correlation_id: str
    ) -> Recorded:
        """Append ``shipped`` under an id derived from the order."""
        if self.down:
            raise Unavailable("the shipping service is down", retry_after_s=7)
        event_id = Ids.derived("evt", order_id, "shipped", carrier, tracking)
        return await self._order_events.append(
            order_id, event_id, Shipped(carrier, tracking), correlation_id=correlation_id
        )


@dataclass
class World:
    """One gateway and everything behind it."""

    app: Quart
    parts: OrderEventsParts
    clock: SetClock
    shipments: ShippingDesk
    streams: Streams
    telemetry: Telemetry
    log: list[str]
    folder: Path
    correspondence: LocalCorrespondence
    links: LoginLinks

    @property
    def client(self) -> TestClientProtocol:
        """A client without cookies."""
        return self.app.test_client(use_cookies=False)

    def browser(self) -> BrowserClient:
        """Return a browser without scripts that has not been here before."""

        async def send(method: str, path: str, headers: dict[str, str], body: bytes) -> Response:
            response = await self.client.open(path, method=method, headers=headers, data=body)
            data = bytes(await response.get_data(as_text=False))
            pairs = [(name.lower(), text) for name, text in response.headers.items()]
            return Response(response.status_code, pairs, data)

        return BrowserClient(send)

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | Headers | None = None,
        **options: Any,
    ) -> "Answer":
        """Send one request; ``body`` is JSON unless ``data`` is given."""
        if body is not None:
            options["json"] = body
        response = await self.client.open(path, method=method, headers=headers, **options)
        data = await response.get_data(as_text=False)
        return Answer(response.status_code, response.headers, bytes(data))

    async def place(self, **changes: object) -> "Placed":
        """Place an order; ``changes`` replace members of the body."""
        answer = await self.call("POST", "/v1/orders", {**ORDER, **changes})
        assert answer.status == 201, answer.body
        reply = answer.json
        return Placed(
            reply["id"], {"Authorization": f"Bearer {reply['access_token']}"}, reply, answer
        )

    async def advance(self, order_id: str, *event_types: str) -> None:
        """Append services' events as their services would."""
        for event_type in event_types:
            service, body = _FACTS[event_type]
            await self.parts.client(service).append(
                order_id,
                Ids.derived("evt", order_id, event_type),
                body,
                correlation_id="evt_before",
            )

    def metrics(self) -> str:
        """All metrics as text."""
        return self.telemetry.render().decode()


_FACTS: dict[str, Any] = {
    "payment-auth-in-progress": ("payment", PaymentAuthInProgress(1)),
    "payment-captured": ("payment", PaymentCaptured(1, "ch_1", TOTAL, 2)),
    "payment-auth-failed": ("payment", PaymentAuthFailed(1, "card_declined")),
    "payment-refund-in-progress": ("payment", PaymentRefundInProgress(TOTAL)),
    "payment-refunded": ("payment", PaymentRefunded("re_1", TOTAL)),
    "shipping-preparation-in-progress": ("shipping", ShippingPreparationInProgress()),
    "shipping-prepared": ("shipping", ShippingPrepared("par_1", 1)),
}
PAID = ("payment-auth-in-progress", "payment-captured")
PREPARED = (*PAID, "shipping-preparation-in-progress", "shipping-prepared")


@dataclass
class Answer:
    """A response, read to its end."""

    status: int
    headers: Headers
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return msgspec.json.decode(self.body)

    @property
    def slug(self) -> str:
        """The problem's slug; the answer must be a problem."""
        assert self.headers["Content-Type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        return str(self.json["type"]).rpartition("/")[2]


@dataclass
class Placed:
    """A placed order: its id, its customer's header, the reply."""

    id: str
    auth: dict[str, str]
    reply: Any
    answer: Answer

    @property
    def path(self) -> str:
        """The order's path."""
        return f"/v1/orders/{self.id}"


@asynccontextmanager
async def gateway_world(
    folder: Path,
    *,
    limits: Limits | None = None,
    mode: Mode = "test",
    checks: dict[str, Check] | None = None,
    order_events: OrderEvents | None = None,
    catalogue: Catalogue | None = None,
    public_url: str = "",
    holds: Holds = NO_HOLDS,
    mailbox: bool = True,
) -> AsyncIterator[World]:
    """Run the Order Event Service and build a gateway over it (or over ``order_events``)."""
    clock, rng, real = SetClock(), random.Random(1), production_host(folder)
    host = Host(clock, rng, Ids(clock, rng), real.disk, real.network)
    log: list[str] = []
    telemetry = Telemetry(
        wall=clock.wall, log_format="json", write=log.append, metrics=METRICS, events=EVENTS
    )
    streams = Streams()
    async with (
        order_events_parts(folder, host=host) as parts,
        open_database(host.disk, FILE, MIGRATIONS) as mails,
        plain_service_client() as http,
    ):
        desk = ShippingDesk(parts.client("shipping"))
        correspondence = LocalCorrespondence(
            parts.client("notification"), Maildir(host.disk, clock), Letters(), mails, clock
        )
        links = LoginLinks(host)
        app = gateway_app(
            order_events or parts.client("gateway"),
            desk,
            correspondence,
            catalogue=catalogue or built_in_catalogue(),
            secret=SECRET,
            operator_token=OPERATOR["Authorization"].split()[1],
            viewer_token=VIEWER["Authorization"].split()[1],
            mode=mode,
            host=host,
            telemetry=telemetry,
            checks=checks or {},
            streams=streams,
            limits=limits or Limits(rate_per_min=None),
            address=lambda: public_url or "http://localhost",
            public_url=public_url,
            holds=holds,
            mailbox=mailbox,
            backstage=_backstage(http, links, clock),
            asyncapi=describe_messages(topology((1, 5), "quorum"), SUBSCRIPTIONS, "0"),
        )
        async with running(correspondence.child().run):
            yield World(
                app, parts, clock, desk, streams, telemetry, log, folder, correspondence, links
            )


def _backstage(http: ServiceClient, links: LoginLinks, clock: SetClock) -> Backstage:
    """Return what a console has whose services nobody runs."""
    token = OPERATOR["Authorization"].split()[1]
    tree = NodeStatus("ordermill", "supervisor", "one_for_one", "running", 0, None)
    return Backstage(
        desks=HttpDesks(http, clock, lambda _: None, operator_token=token, service_token=token),
        links=links,
        here=("gateway",),
        process=lambda: {"supervision": tree, "broker": []},
        tree=TreeDesk(tree.name, lambda _: None, LogTail(), {}),
        settings=lambda: [SettingShown("mode", "test", "test", "what for")],
        subscriptions=SUBSCRIPTIONS,
        outbox_warn_s=30.0,
    )
