"""Customers and one operator, over HTTP, while the system is killed under them.

Each order's story is fixed by the seed and its number: card, changes of mind, when. A request whose
reply is lost is repeated under its key until there is an answer; some clients walk away instead,
and some repeat what was answered already.
"""

import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import httpx
import msgspec

from sim.history import Answered, Kind, Sent
from tests.chaos.client_log import ClientLog

REQUEST_S_MAX = 10.0
PATIENCE_S = 120.0
SKUS = ("MUG-1", "TEA-1", "POT-1", "CUP-2", "NOTE-1", "PEN-1")
CARDS = (
    *["pm_card_visa"] * 12,
    *["pm_card_refund_flaky"] * 3,
    *["pm_card_flaky"] * 2,
    *["pm_card_declined"] * 2,
    "pm_card_insufficient",
)


class Told(msgspec.Struct, frozen=True):
    """A definite answer."""

    status: int
    body: Any

    @property
    def accepted(self) -> bool:
        """Whether the command was carried out."""
        return self.status < 300


class Shop:
    """Where requests go: sends commands, repeats them, and keeps the client log."""

    def __init__(self, http: httpx.AsyncClient, log: ClientLog, operator: str) -> None:
        self._http = http
        self._log = log
        self._operator = operator
        self.in_flight = 0
        self.accepted_orders = 0
        self.cut_off = 0

    async def command(
        self,
        name: str,
        kind: Kind,
        request: tuple[str, str],
        body: Mapping[str, Any],
        *,
        mark: str,
        order_id: str = "",
        token: str = "",
        rng: random.Random,
    ) -> Told | None:
        """Send until there is an answer; None where the client walked away without one."""
        keyed = kind != "ship"
        headers = {"Idempotency-Key": f"key-{name}"} if keyed else {}
        bearer = self._operator if kind == "ship" else token
        if bearer:
            headers["Authorization"] = f"Bearer {bearer}"
        walks_away, asks_again = rng.random() < 0.08, rng.random() < 0.1
        told: Told | None = None
        give_up = anyio.current_time() + PATIENCE_S
        attempt = 0
        while anyio.current_time() < give_up:
            attempt += 1
            self._log.write(Sent(name, attempt, kind, order_id, mark, keyed, body))
            answer = await self._request(request, body, headers)
            self._log.write(Answered(name, attempt, answer.status, answer.body))
            if 200 <= answer.status < 500:
                told = answer
                if not asks_again:
                    break
                asks_again = False
            elif walks_away:
                break
            else:
                await anyio.sleep(rng.uniform(0.02, 0.2))
        return told

    async def _request(
        self, request: tuple[str, str], body: Mapping[str, Any], headers: Mapping[str, str]
    ) -> Told:
        self.in_flight += 1
        try:
            answer = await self._http.request(*request, json=dict(body), headers=dict(headers))
            return Told(answer.status_code, answer.json())
        except (httpx.TransportError, ValueError):
            self.cut_off += 1
            return Told(0, None)
        finally:
            self.in_flight -= 1

    async def status(self, order_id: str, token: str) -> str:
        """Return the order's status, empty while nobody answers."""
        headers = {"Authorization": f"Bearer {token}"}
        try:
            answer = await self._http.get(f"/v1/orders/{order_id}", headers=headers)
            return str(answer.json().get("status", "")) if answer.status_code == 200 else ""
        except (httpx.TransportError, ValueError):
            return ""


class Load:
    """Keeps ``clients`` customers ordering until `stop`; then finishes the stories begun."""

    def __init__(self, shop: Shop, seed: int, clients: int) -> None:
        self._shop = shop
        self._seed = seed
        self._clients = clients
        self._number = 0
        self._stopping = False

    def stop(self) -> None:
        """Begin no more orders."""
        self._stopping = True

    async def run(self) -> None:
        """Order, client by client, until told to stop."""
        async with anyio.create_task_group() as tasks:
            for client in range(self._clients):
                tasks.start_soon(self._customer, client)

    async def _customer(self, client: int) -> None:
        pace = random.Random(f"{self._seed}/client/{client}")
        while not self._stopping:
            self._number += 1
            story = Story(self._shop, f"{self._seed}-{self._number}")
            await story.play()
            await anyio.sleep(pace.uniform(0, 0.3))


class Story:
    """One order, from the click to whatever its customer does next."""

    def __init__(self, shop: Shop, name: str) -> None:
        self._shop = shop
        self._name = name
        self._rng = random.Random(name)
        self._order_id = ""
        self._token = ""

    async def play(self) -> None:
        """Place the order; then do, at the same time, what this customer has in mind."""
        rng = self._rng
        placed = await self._place()
        if placed is None or not placed.accepted:
            return
        self._shop.accepted_orders += 1
        self._order_id, self._token = placed.body["id"], placed.body["access_token"]
        async with anyio.create_task_group() as tasks:
            if rng.random() < 0.25:
                tasks.start_soon(self._pay, rng.uniform(0, 0.5), self._own("pay"))
            if rng.random() < 0.35:
                tasks.start_soon(self._move, rng.uniform(0, 0.8), self._own("move"))
            if rng.random() < 0.35:
                tasks.start_soon(self._cancel, rng.uniform(0, 1.2), self._own("cancel"))
            if rng.random() < 0.3:
                tasks.start_soon(self._ship, self._own("ship"))

    def _own(self, part: str) -> random.Random:
        """Return randomness of this part's own: parts run at the same time."""
        return random.Random(f"{self._name}/{part}")

    async def _place(self) -> Told | None:
        rng = self._rng
        mark = f"Customer {self._name}"
        skus = rng.sample(SKUS, rng.randint(1, 3))
        body = {
            "customer": {"name": mark, "email": f"c{self._name}@example.org"},
            "items": [{"sku": sku, "quantity": rng.randint(1, 4)} for sku in skus],
            "shipping_address": _address(f"First street {self._name}"),
            "payment": {"token": rng.choice(CARDS)},
        }
        name = f"{self._name}-place"
        route = ("POST", "/v1/orders")
        return await self._shop.command(name, "place", route, body, mark=mark, rng=rng)

    async def _pay(self, after_s: float, rng: random.Random) -> None:
        await anyio.sleep(after_s)
        body = {"token": rng.choice(CARDS)}
        await self._change("pay", "PUT", "payment", body, self._order_id, rng)

    async def _move(self, after_s: float, rng: random.Random) -> None:
        for turn in range(rng.randint(1, 3)):
            await anyio.sleep(after_s)
            mark = f"Street {self._name} {turn}"
            await self._change("move", "PUT", "shipping-address", _address(mark), mark, rng)

    async def _cancel(self, after_s: float, rng: random.Random) -> None:
        for turn in range(rng.randint(1, 2)):
            await anyio.sleep(after_s)
            mark = f"second thoughts {self._name} {turn}"
            await self._change("cancel", "POST", "cancellation", {"reason": mark}, mark, rng)

    async def _ship(self, rng: random.Random) -> None:
        if rng.random() < 0.15:
            await self._report_shipped("early", rng)
        give_up = anyio.current_time() + PATIENCE_S
        ends = ("cancelled", "payment_failed", "prepared", "shipped", "expired")
        status = ""
        while status not in ends and anyio.current_time() < give_up:
            await anyio.sleep(0.25)
            status = await self._shop.status(self._order_id, self._token)
        if status == "prepared":
            await self._report_shipped("now", rng)
            if rng.random() < 0.2:
                await self._report_shipped("again", rng)

    async def _report_shipped(self, turn: str, rng: random.Random) -> None:
        tracking = f"T{self._name}-{turn}"
        body = {"carrier": "Millrace", "tracking": tracking}
        await self._change("ship", "POST", "shipment", body, tracking, rng)

    async def _change(
        self, kind: Kind, method: str, part: str, body: Any, mark: str, rng: random.Random
    ) -> None:
        await self._shop.command(
            f"{self._name}-{kind}-{mark.rpartition(' ')[2]}",
            kind,
            (method, f"/v1/orders/{self._order_id}/{part}"),
            body,
            mark=mark,
            order_id=self._order_id,
            token=self._token,
            rng=rng,
        )


def _address(line1: str) -> dict[str, str]:
    return {
        "name": "Ada Lovelace",
        "line1": line1,
        "city": "Berlin",
        "postal_code": "10115",
        "country": "DE",
    }


def open_client(url: str) -> httpx.AsyncClient:
    """Return an HTTP client whose connections a dying server may cut at any time."""
    limits = httpx.Limits(max_connections=200, max_keepalive_connections=50)
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=REQUEST_S_MAX, limits=limits)


def log_in(folder: Path) -> str:
    """Return the operator's token, as the system has written it."""
    return (folder / "secrets" / "operator-token").read_text().strip()
