"""A customer who wants one thing, and asks with the same keys until it is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.harness.plain_client import plain_client
from tests.harness.system import Json, order_body
from tests.harness.waiting import eventually


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client of the system at ``url``."""
    async with plain_client(url, timeout=60.0) as client:
        yield client


class Customer:
    """Asks whoever is there now. ``folder`` holds the operator's token, who ships for him."""

    def __init__(self, folder: Path, client: httpx.AsyncClient) -> None:
        self._client = client
        self._operator = (folder / "secrets" / "operator-token").read_text()

    async def buys(self) -> str:
        """Place an order, and have it shipped once it stands ready; return its id."""
        order_id, _ = await self.places()
        await self._sees(order_id, "shipping-prepared")
        body = {"carrier": "DHL", "tracking": "JD0123"}
        await self._asks("shipment", order_id, body, self._operator)
        return order_id

    async def regrets(self) -> str:
        """Place an order, cancel it once it is paid, wait for the money; return its id."""
        order_id, token = await self.places()
        await self._sees(order_id, "payment-captured")
        await self._asks("cancellation", order_id, {}, token)
        await self._sees(order_id, "payment-refunded")
        return order_id

    async def places(self, key: str = "the-one-order") -> tuple[str, str]:
        """Place an order; return its id and its access token."""
        headers = {"idempotency-key": key}
        placed = await self._client.post("/v1/orders", json=order_body(), headers=headers)
        assert placed.status_code == 201, placed.text
        return placed.json()["id"], placed.json()["access_token"]

    async def _asks(self, what: str, order_id: str, body: Json, token: str) -> None:
        headers = {"authorization": f"Bearer {token}", "idempotency-key": f"the-one-{what}"}
        path = f"/v1/orders/{order_id}/{what}"
        answer = await self._client.post(path, json=body, headers=headers)
        assert answer.status_code == 200, answer.text

    async def _sees(self, order_id: str, event_type: str) -> None:
        headers = {"authorization": f"Bearer {self._operator}"}

        async def happened() -> bool:
            answer = await self._client.get(f"/v1/orders/{order_id}/events", headers=headers)
            assert answer.status_code == 200, answer.text
            return any(event["type"] == f"{event_type}/v1" for event in answer.json()["data"])

        await eventually(happened)
