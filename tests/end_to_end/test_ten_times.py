"""Everything ten times: each request, in parallel under one key, and each event. One effect."""

from collections.abc import Awaitable, Callable
from pathlib import Path

import anyio
import httpx
import pytest
from yarl import URL

from actors.topology import SUBSCRIPTIONS
from tests.harness.books import Books, books_of, dead_letters
from tests.harness.flood import ROUTES, TIMES, flooding
from tests.harness.foreign import Foreigner
from tests.harness.system import OTHER_ADDRESS, Json, LiveSystem, live_system, order_body
from tests.harness.waiting import eventually, until


class Hasty:
    """A customer whose client sends everything ten times in parallel, with one key each time."""

    def __init__(self, system: LiveSystem) -> None:
        self._system = system
        self._operator = (system.running.data_dir / "secrets" / "operator-token").read_text()
        self.id = self._token = ""

    async def places(self, card: str = "pm_card_visa") -> None:
        """Place one order."""
        placed = await self._sends("POST", "/v1/orders", order_body(card), 201)
        self.id, self._token = placed["id"], placed["access_token"]

    async def asks(self, method: str, part: str, body: Json, *, operator: bool = False) -> None:
        """Ask for a change of the order."""
        token = self._operator if operator else self._token
        await self._sends(method, f"/v1/orders/{self.id}/{part}", body, 200, token)

    async def sees(self, event_type: str) -> None:
        """Wait until this has happened to the order."""
        await self._system.wait_for(self.id, event_type)

    async def _sends(
        self, method: str, path: str, body: Json, status: int, token: str = ""
    ) -> Json:
        answers: list[httpx.Response] = []
        headers = {"Idempotency-Key": f"{method} {path}".replace(" ", "-")}
        if token:
            headers["Authorization"] = f"Bearer {token}"

        async def send() -> None:
            client = self._system.client
            answers.append(await client.request(method, path, json=body, headers=headers))

        async with anyio.create_task_group() as tasks:
            for _ in range(TIMES):
                tasks.start_soon(send)
        assert {answer.status_code for answer in answers} == {status}
        assert len({answer.content for answer in answers}) == 1
        told: Json = answers[0].json()
        return told


async def shipped(customer: Hasty) -> Books:
    await customer.places("pm_card_declined")
    await customer.asks("PUT", "payment", {"token": "pm_card_visa"})
    await customer.asks("PUT", "shipping-address", OTHER_ADDRESS)
    await customer.sees("shipping-prepared")
    report = {"carrier": "DHL", "tracking": "JD0123"}
    await customer.asks("POST", "shipment", report, operator=True)
    moves = ["authorise", "capture"]
    return Books(moves, moves, 1, ["We received your order N", "Your order N is on its way"])


async def refunded(customer: Hasty) -> Books:
    await customer.places()
    await customer.sees("payment-captured")
    await customer.asks("POST", "cancellation", {})
    await customer.sees("payment-refunded")
    moves = ["authorise", "capture", "refund"]
    return Books(moves, moves, 0, ["We received your order N", "Your order N is cancelled"])


async def declined(customer: Hasty) -> Books:
    await customer.places("pm_card_declined")
    await customer.sees("payment-auth-failed")
    return Books([], [], 0, ["The payment of your order N failed", "We received your order N"])


STORIES: dict[str, Callable[[Hasty], Awaitable[Books]]] = {
    "shipped": shipped,
    "refunded": refunded,
    "declined": declined,
}


@pytest.mark.parametrize("story", STORIES)
async def test_ten_times_in_parallel_is_once(tmp_path: Path, broker_url: str, story: str) -> None:
    holds = {"payment": {"hold_s": 1.5}, "shipping": {"hold_s": 1.5}}
    async with live_system(tmp_path, broker_url, **holds) as system:
        url = system_broker(system, broker_url)
        async with flooding(url, poisoned=False) as flood:
            customer = Hasty(system)
            expected = await STORIES[story](customer)
            await system.quiet()
            events = await system.events(customer.id)
            keys = [event.type.routing_key for event in events if event.type.exchange]
            deliveries = TIMES * sum(len(ROUTES.get(key or "", [])) for key in keys)
            await until(lambda: flood.good == deliveries)
            client = Foreigner(url)

            async def all_taken() -> bool:
                return not any((await client.ready(list(SUBSCRIPTIONS))).values())

            await eventually(all_taken)
            await system.quiet()
            assert await books_of(system, customer.id) == expected
            assert await dead_letters(client) == {}
            assert len(await system.events(customer.id)) == len(events)


def system_broker(system: LiveSystem, broker_url: str) -> str:
    """Return the address of the system's broker, with the password."""
    if broker_url != "embedded":
        return broker_url
    password = (system.running.data_dir / "secrets" / "broker-password").read_text()
    return str(URL(system.running.broker).with_password(password))
