"""Customers and one operator, over HTTP, while the system is killed under them.

Each order's story is fixed by the seed and its number: card, changes of mind, when.
"""

import random
from typing import Any

import anyio

from sim.history import Kind
from tests.chaos.shop import PATIENCE_S, Shop, Told

SKUS = ("MUG-1", "TEA-1", "POT-1", "CUP-2", "NOTE-1", "PEN-1")
CARDS = (
    *["pm_card_visa"] * 12,
    *["pm_card_refund_flaky"] * 3,
    *["pm_card_flaky"] * 2,
    *["pm_card_declined"] * 2,
    "pm_card_insufficient",
)


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
            if rng.random() < 0.2:
                tasks.start_soon(self._cancel, rng.uniform(0, 1.2), self._own("cancel"))
            elif rng.random() < 0.25:
                tasks.start_soon(self._cancel_once_paid, self._own("cancel"))
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

    async def _cancel_once_paid(self, rng: random.Random) -> None:
        """Cancel when the money was just taken: it has to be given back, or it is too late."""
        if await self._until("paid") == "paid":
            await self._cancel(0, rng)

    async def _until(self, wanted: str) -> str:
        """Look again and again; return the status that is wanted, or one that comes after it."""
        ends = (wanted, "cancelled", "payment_failed", "prepared", "shipped")
        give_up = anyio.current_time() + PATIENCE_S
        status = ""
        while status not in ends and anyio.current_time() < give_up:
            await anyio.sleep(0.2)
            status = await self._shop.status(self._order_id, self._token)
        return status

    async def _ship(self, rng: random.Random) -> None:
        if rng.random() < 0.15:
            await self._report_shipped("early", rng)
        if await self._until("prepared") == "prepared":
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
