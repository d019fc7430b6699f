"""The whole system in this process, on a broker of choice, with the outside parties in reach."""

import email
import email.policy
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec

from actors.domain.events import Event
from actors.parties import Parties, built_in_parties
from actors.process import Running, run_system
from actors.services import ServiceName
from actors.settings import Settings
from actors.system import EVENTS, METRICS
from actors.topology import SUBSCRIPTIONS
from runtime.host import Host, production_host
from runtime.inbox import states_of
from runtime.setting import decode_hook
from runtime.telemetry import Level, Telemetry
from runtime.tracing import Spans
from tests.harness.plain_client import plain_client
from tests.harness.waiting import eventually

Json = dict[str, Any]
Wrap = Callable[[Parties], Parties]

ADDRESS: Json = {
    "name": "Ada Lovelace",
    "line1": "Invalidenstrasse 116",
    "city": "Berlin",
    "postal_code": "10115",
    "country": "DE",
}
OTHER_ADDRESS: Json = {**ADDRESS, "line1": "Unter den Linden 77", "postal_code": "10117"}


def order_body(card: str = "pm_card_visa", sku: str = "MUG-1", quantity: int = 2) -> Json:
    """Return a place-order request, paid with a provider's token."""
    return {
        "customer": {"name": "Ada Lovelace", "email": "ada@example.org"},
        "items": [{"sku": sku, "quantity": quantity}],
        "shipping_address": ADDRESS,
        "payment": {"token": card},
    }


def system_settings(folder: Path, broker_url: str = "embedded", **changes: Json) -> Settings:
    """Return settings with free ports, no holds, quick retries and no rate limit, then changes."""
    tables: dict[str, Json] = {
        "http": {"port": 0},
        "order_events": {"port": 0},
        "payment": {"port": 0, "hold_s": 0.0, "sweep_s": 0.5},
        "shipping": {"port": 0, "hold_s": 0.0},
        "notification": {"port": 0},
        "broker": {"url": broker_url, "reconnect_s_max": 0.5},
        "retry": {"tiers_s": [1]},
        "api": {"rate_per_min": 0},
    }
    for name, table in changes.items():
        tables[name] = {**tables.get(name, {}), **table}
    return msgspec.convert({"data_dir": str(folder), **tables}, Settings, dec_hook=decode_hook)


class LiveSystem:
    """A running system and what a customer, an operator and an auditor can see of it."""

    def __init__(
        self, running: Running, parties: Parties, client: httpx.AsyncClient, log: list[str]
    ) -> None:
        self.running = running
        self.parties = parties
        self.client = client
        self.log = log
        self._orders = running.system.order_events.client("gateway")
        self._operator = (running.data_dir / "secrets" / "operator-token").read_text()

    async def place(self, card: str = "pm_card_visa", **changes: Any) -> "LiveOrder":
        """Place an order over HTTP."""
        answer = await self.call("POST", "/v1/orders", {**order_body(card), **changes})
        assert answer.status_code == 201, answer.text
        body = answer.json()
        return LiveOrder(self, body["id"], body["access_token"])

    async def call(
        self, method: str, path: str, body: Json | None = None, *, token: str | None = None
    ) -> httpx.Response:
        """Send one request; the operator's token goes in as ``operator``."""
        token = self._operator if token == "operator" else token
        headers = {"authorization": f"Bearer {token}"} if token else {}
        return await self.client.request(method, path, json=body, headers=headers)

    async def events(self, order_id: str) -> list[Event]:
        """Return the order's events."""
        return await self._orders.events(order_id)

    async def wait_for(self, order_id: str, event_type: str, within_s: float = 30.0) -> Event:
        """Return the order's event of this type once it has happened."""
        after = 0
        with anyio.move_on_after(within_s):
            while True:
                for event in await self._orders.events(order_id, after=after, wait_s=5.0):
                    if event.type.name == event_type:
                        return event
                    after = event.version
        types = [event.type.name for event in await self.events(order_id)]
        raise AssertionError(f"no {event_type} within {within_s:g} s, only {types}")

    async def quiet(self, within_s: float = 30.0) -> None:
        """Wait until every published event is done with, by every service that it is meant for."""

        async def nothing_left() -> bool:
            return not await self._left()

        await eventually(nothing_left, within_s)

    async def _left(self) -> list[str]:
        system = self.running.system
        events = await self._orders.all_events(limit=1000)
        left: list[str] = []
        for queue, types in SUBSCRIPTIONS.items():
            ids = [event.id for event in events if event.type.name in types]
            database = system.databases[f"{queue}.db"]
            states = await database.read(lambda reader, ids=ids: states_of(reader, ids))
            left += [f"{queue} {i}: {states.get(i)}" for i in ids if states.get(i) != "done"]
        pending = system.order_events.relay.statistics().pending
        return left + ["outbox"] * bool(pending)

    @property
    def mail_folder(self) -> Path:
        """Where the customers' mails are."""
        return self.running.mail_dir

    def mails(self) -> list[EmailMessage]:
        """Return the customers' mails."""
        folder = self.mail_folder
        files = sorted(folder.glob("[!.]*")) if folder.is_dir() else []
        return [_mail(path) for path in files]


class LiveOrder:
    """One order of a `LiveSystem`, through its customer's eyes."""

    def __init__(self, system: LiveSystem, order_id: str, token: str) -> None:
        self.id = order_id
        self.token = token
        self._system = system

    async def wait_for(self, event_type: str, within_s: float = 30.0) -> Event:
        """Return the event of this type once it has happened."""
        return await self._system.wait_for(self.id, event_type, within_s)

    async def types(self) -> list[str]:
        """Return what has happened so far."""
        return [event.type.name for event in await self._system.events(self.id)]

    async def show(self) -> Json:
        """Return the order as the customer sees it."""
        answer = await self._system.call("GET", f"/v1/orders/{self.id}", token=self.token)
        assert answer.status_code == 200, answer.text
        shown: Json = answer.json()
        return shown

    async def cancel(self) -> httpx.Response:
        """Ask for a cancellation."""
        path = f"/v1/orders/{self.id}/cancellation"
        return await self._system.call("POST", path, {}, token=self.token)

    async def pay_with(self, card: str) -> httpx.Response:
        """Ask to pay with another card."""
        path = f"/v1/orders/{self.id}/payment"
        return await self._system.call("PUT", path, {"token": card}, token=self.token)

    async def send_to(self, address: Json) -> httpx.Response:
        """Ask to ship to another address."""
        path = f"/v1/orders/{self.id}/shipping-address"
        return await self._system.call("PUT", path, address, token=self.token)

    async def ship(self, carrier: str = "DHL", tracking: str = "JD0123") -> httpx.Response:
        """Report, as the operator, that the parcel is on its way."""
        path = f"/v1/orders/{self.id}/shipment"
        body = {"carrier": carrier, "tracking": tracking}
        return await self._system.call("POST", path, body, token="operator")


def _mail(path: Path) -> EmailMessage:
    parsed = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
    assert isinstance(parsed, EmailMessage)
    return parsed


@asynccontextmanager
async def live_system(
    folder: Path,
    broker_url: str = "embedded",
    *,
    wrap: Wrap = lambda parties: parties,
    log_level: Level = "info",
    spans: Spans | None = None,
    **changes: Json,
) -> AsyncIterator[LiveSystem]:
    """Run the system until the block ends; ``wrap`` may put something around the parties."""
    settings = system_settings(folder, broker_url, **changes)
    host = production_host(folder)
    log: list[str] = []
    telemetry = Telemetry(
        wall=host.clock.wall,
        log_level=log_level,
        log_format="json",
        write=log.append,
        metrics=METRICS,
        events=EVENTS,
        spans=spans,
    )
    inside: list[Parties] = []

    @asynccontextmanager
    async def open_parties(
        settings: Settings, host: Host, services: Sequence[ServiceName]
    ) -> AsyncIterator[Parties]:
        async with built_in_parties(settings, host, services) as parties:
            inside.append(parties)
            yield wrap(parties)

    stopping, ready = anyio.Event(), anyio.Event()
    serving: list[Running] = []

    def started(running: Running) -> None:
        serving.append(running)
        ready.set()

    async with anyio.create_task_group() as tasks:

        async def run() -> None:
            try:
                await run_system(
                    settings,
                    host,
                    telemetry,
                    stopping=stopping,
                    ready=started,
                    open_parties=open_parties,
                )
            finally:
                ready.set()

        tasks.start_soon(run)
        await ready.wait()
        if serving:
            url = serving[0].url
            async with plain_client(url, timeout=60.0) as client:
                yield LiveSystem(serving[0], inside[0], client, log)
        stopping.set()
