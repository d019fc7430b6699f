"""Customers and one operator: they drive the real API over the simulated network, by the plan.

A request whose reply is lost, or that was told to come back later, is sent again under its key
until there is a definite answer; a request to ship has no key and may be repeated as it is.
Everything goes into the history, which the judges compare with what really happened.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import anyio
import msgspec

from sim.client import Answer, Client, NoAnswer
from sim.engine import Engine
from sim.history import Answered, Kind, Sent, Watching
from sim.incarnation import Incarnation
from sim.plan import Act, Order
from sim.watcher import Watcher

LOOK_S_MIN, LOOK_S_MAX = 0.25, 5.0
PAUSE_S_MAX = 5.0
WAIT_S_MAX = 150.0
PATIENCE_S = 3600.0
_WAY = ("placed", "payment_pending", "paid", "preparing", "prepared", "shipped")
_ROUTES: dict[str, tuple[str, str]] = {
    "pay": ("PUT", "payment"),
    "move": ("PUT", "shipping-address"),
    "cancel": ("POST", "cancellation"),
    "ship": ("POST", "shipment"),
}


class Shop:
    """Where the shop is, and what the customers of one run have in common.

    ``heartbeat_s``: how often a stream without news says that it is alive.
    """

    def __init__(
        self, engine: Engine, host: str, port: int, operator_token: str, heartbeat_s: float
    ) -> None:
        self.engine = engine
        self._silence_s_max = 3 * heartbeat_s
        self.host = host
        self.port = port
        self.operator_token = operator_token
        self.history: list[Sent | Answered] = []
        self.open: dict[str, None] = {}
        self.watchers: list[Watcher] = []
        self.owner = Incarnation("customers", 1)
        self._random = engine.seed.stream("customers")

    def client(self) -> Client:
        """Return a new connection of a customer's."""
        return Client(self.host, self.port)

    def begin(self, orders: tuple[Order, ...]) -> None:
        """Let every customer come when the plan says so."""
        for order in orders:
            self.open[f"o{order.number}"] = None
            self.owner.spawn(_Customer(self, order).run())

    def watch(self, name: str, order_id: str, token: str) -> None:
        """Have somebody watch an order, beside whatever else he does, until `close_pages`."""
        seen, shop = Watching(name, order_id), (self.host, self.port)
        watcher = Watcher(self.engine, shop, seen, token, self._silence_s_max)
        self.watchers.append(watcher)
        self.owner.spawn(watcher.run())

    def close_pages(self) -> None:
        """Let nobody watch any more."""
        for watcher in self.watchers:
            watcher.leave()

    def pause(self, tries: int) -> float:
        """Return how long somebody waits before asking again, after so many tries for nothing.

        Less and less often: who asks a shop that is away, or says so, twice a second, for half a
        minute, keeps nobody busy but himself.
        """
        return self._random.uniform(0.05, min(PAUSE_S_MAX, 1.5 ** max(1, tries)))


class _Customer:
    def __init__(self, shop: Shop, order: Order) -> None:
        self._shop = shop
        self._order = order
        self._name = f"o{order.number}"
        self._order_id = ""
        self._token = ""
        self._seen = "", ""
        self._idle: list[Client] = []

    async def run(self) -> None:
        order = self._order
        await asyncio.sleep(order.at_s)
        body = {
            "customer": {"name": self._name, "email": f"{self._name}@example.org"},
            "items": [{"sku": sku, "quantity": quantity} for sku, quantity in order.items],
            "shipping_address": _address(f"First {self._name}"),
            "payment": {"token": order.card},
        }
        placed = await self._insist(
            "place", "place", self._name, ("POST", "/v1/orders"), body, order
        )
        if placed.status < 300:
            told = placed.json()
            self._order_id, self._token = told["id"], told["access_token"]
            async with anyio.create_task_group() as tasks:
                for number, act in enumerate(order.acts):
                    tasks.start_soon(self._act, number, act)
        for client in self._idle:
            client.close()
        self._shop.open.pop(self._name, None)

    @contextmanager
    def client(self) -> Iterator[Client]:
        """Use a connection alone, as a browser does: one that nobody uses, or a new one."""
        client = self._idle.pop() if self._idle else self._shop.client()
        try:
            yield client
        finally:
            self._idle.append(client)

    async def _act(self, number: int, act: Act) -> None:
        if act.on:
            await self._until(act.on)
        await asyncio.sleep(act.after_s)
        if act.do in _ROUTES:
            await self._change(number, act)
        elif act.do == "look":
            with self.client() as client:
                await self._status(client)
        elif act.do == "watch":
            self._shop.watch(f"{self._name}-watch{number}", self._order_id, self._token)

    async def _change(self, number: int, act: Act) -> None:
        method, part = _ROUTES[act.do]
        mark, body = self._asked(number, act)
        name = f"{act.do}{number}"
        route = method, f"/v1/orders/{self._order_id}/{part}"
        kind: Any = act.do
        await self._insist(name, kind, mark, route, body, act)

    def _asked(self, number: int, act: Act) -> tuple[str, dict[str, Any]]:
        match act.do:
            case "pay":
                return self._order_id, {"token": act.card}
            case "move":
                mark = f"Moved {self._name} {number}"
                return mark, _address(mark)
            case "cancel":
                mark = f"thought again {self._name} {number}"
                return mark, {"reason": mark}
            case _:
                mark = f"T{self._name}-{number}"
                return mark, {"carrier": "Millrace", "tracking": mark}

    async def _until(self, wanted: str) -> None:
        """Look, less and less often, until the order has come so far or to an end.

        A payment that is parked, or a service that stays dead, ends the waiting, too.
        """
        far = _WAY.index(wanted) if wanted in _WAY else 0
        enough = ("cancelled", "payment_failed", wanted, *_WAY[far:])
        engine, pause_s = self._shop.engine, LOOK_S_MIN
        give_up = engine.now + WAIT_S_MAX
        with self.client() as client:
            while await self._status(client) not in enough and engine.now < give_up:
                await asyncio.sleep(pause_s)
                pause_s = min(1.5 * pause_s, LOOK_S_MAX)

    async def _status(self, client: Client) -> str:
        """Return the order's status; as a browser does, he asks for what he has not seen yet."""
        tag, seen = self._seen
        headers = {**self._headers(self._token), **({"If-None-Match": tag} if tag else {})}
        try:
            answer = await client.request("GET", f"/v1/orders/{self._order_id}", headers=headers)
        except NoAnswer:
            return ""
        if answer.status == 200:
            self._seen = answer.headers["etag"], str(answer.json()["status"])
            return self._seen[1]
        return seen if answer.status == 304 else ""

    async def _insist(
        self,
        name: str,
        kind: Kind,
        mark: str,
        route: tuple[str, str],
        body: Mapping[str, Any],
        how: Order | Act,
    ) -> Answer:
        """Send a command until there is a definite answer; with its twins, if it has any.

        Then, if that is how this customer is, ask for something else under the same key.
        """
        key = f"{self._name}-{name}"
        command = _Command(self, key, kind, mark, route, body, key)
        async with anyio.create_task_group() as tasks:
            for _ in range(how.twins):
                tasks.start_soon(command.send_until_told)
            answer = await command.send_until_told(again=how.again)
        for number in range(how.wrong):
            other = {**body, **_OTHERWISE[kind]}
            wrong = _Command(self, f"{key}-wrong{number}", kind, f"wrong {mark}", route, other, key)
            await wrong.send_until_told()
        return answer

    @property
    def shop(self) -> Shop:
        """The shop."""
        return self._shop

    @property
    def order_id(self) -> str:
        """The order's id, once it is known."""
        return self._order_id

    def credentials(self, kind: Kind) -> str:
        """Return whose token such a command carries."""
        return self._shop.operator_token if kind == "ship" else self._token

    @staticmethod
    def _headers(token: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {token}"} if token else {}


class _Command:
    """One command, however often it is sent."""

    def __init__(
        self,
        customer: _Customer,
        name: str,
        kind: Kind,
        mark: str,
        route: tuple[str, str],
        body: Mapping[str, Any],
        key: str,
    ) -> None:
        self._customer = customer
        self._name, self._kind, self._mark, self._key = name, kind, mark, key
        self._route, self._body = route, body
        self._keyed = kind != "ship"
        self._attempts = 0

    async def send_until_told(self, again: int = 0) -> Answer:
        shop = self._customer.shop
        give_up = shop.engine.now + PATIENCE_S
        tries = 0
        with self._customer.client() as client:
            while shop.engine.now < give_up:
                answer = await self._send(client)
                if answer is None or answer.status >= 500 or answer.status == 429:
                    tries += 1
                elif again:
                    again, tries = again - 1, 0
                else:
                    return answer
                await asyncio.sleep(shop.pause(tries))
        raise TimeoutError(f"{self._name}: no definite answer within {PATIENCE_S:g} s")

    async def _send(self, client: Client) -> Answer | None:
        customer, shop = self._customer, self._customer.shop
        self._attempts += 1
        attempt, engine = self._attempts, shop.engine
        token = customer.credentials(self._kind)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        if self._keyed:
            headers["Idempotency-Key"] = f"key-{self._key}"
        shop.history.append(
            Sent(
                self._name,
                attempt,
                self._kind,
                customer.order_id,
                self._mark,
                self._keyed,
                self._body,
                engine.now,
                self._key != self._name,
            )
        )
        try:
            answer = await client.request(*self._route, headers=headers, body=self._body)
        except NoAnswer:
            shop.history.append(Answered(self._name, attempt, 0, None, engine.now))
            engine.note("client", self._name, attempt, 0)
            return None
        body = msgspec.json.decode(answer.body) if answer.body else None
        shop.history.append(Answered(self._name, attempt, answer.status, body, engine.now))
        engine.note("client", self._name, attempt, answer.status)
        return answer


def _address(line1: str) -> dict[str, str]:
    return {
        "name": "Ada Lovelace",
        "line1": line1,
        "city": "Berlin",
        "postal_code": "10115",
        "country": "DE",
    }


_OTHERWISE: dict[Kind, Mapping[str, Any]] = {
    "place": {"items": [{"sku": "MUG-1", "quantity": 99}]},
    "pay": {"token": "pm_card_cvc"},
    "move": {"city": "Atlantis"},
    "cancel": {"reason": "something else"},
    "ship": {},
}
"""What makes a command another one; a request to ship has no key, and repeats what it said."""
