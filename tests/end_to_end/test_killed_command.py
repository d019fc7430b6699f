"""The real ``ordermill up``, killed (SIGKILL) in the middle of work, again and again."""

import signal
from contextlib import suppress
from pathlib import Path

import anyio
import httpx

from tests.harness.books import books_of, dead_letters
from tests.harness.command import Serving, up
from tests.harness.customer import client_of
from tests.harness.foreign import foreigner
from tests.harness.system import live_system, order_body

CARDS = {f"order-{number:02}": "pm_card_visa" for number in range(16)} | {
    f"declined-{number:02}": "pm_card_declined" for number in range(4)
}
KILLED_AFTER = (1, 8, len(CARDS))


class Customers:
    """Everybody wants one order, and asks every process for it; the answer is always the same."""

    def __init__(self) -> None:
        self.placed: dict[str, str] = {}

    async def ask(self, url: str, command: Serving, killed_after: int) -> None:
        """Ask for everything at once; kill the process after so many answers."""
        answers: list[str] = []

        async def place(client: httpx.AsyncClient, key: str) -> None:
            headers, body = {"idempotency-key": key}, order_body(CARDS[key])
            with suppress(httpx.TransportError):
                answer = await client.post("/v1/orders", json=body, headers=headers)
                assert answer.status_code == 201, answer.text
                order_id = answer.json()["id"]
                assert self.placed.setdefault(key, order_id) == order_id
                answers.append(key)
                if len(answers) == killed_after:
                    command.signal(signal.SIGKILL)

        async with client_of(url) as client, anyio.create_task_group() as tasks:
            for key in CARDS:
                tasks.start_soon(place, client, key)
        assert command.ended() == -signal.SIGKILL


async def test_no_order_that_was_accepted_is_lost_and_nothing_is_done_twice(
    tmp_path: Path, broker_url: str
) -> None:
    customers = Customers()
    settings = ("log.level=error", "payment.hold_s=0", "shipping.hold_s=0", "api.rate_per_min=0")
    for killed_after in KILLED_AFTER:
        with up(tmp_path, *settings, f"broker.url={broker_url}") as (command, url):
            await customers.ask(url, command, killed_after)
    assert customers.placed.keys() == CARDS.keys()
    data = tmp_path / "data"
    async with live_system(data, broker_url, retry={"tiers_s": [1, 5, 30, 60]}) as system:
        for key, order_id in customers.placed.items():
            declined = key.startswith("declined")
            end = "payment-auth-failed" if declined else "shipping-prepared"
            await system.wait_for(order_id, end)
        await system.quiet()
        for key, order_id in customers.placed.items():
            books = await books_of(system, order_id)
            if key.startswith("declined"):
                assert (books.moves, books.parcels) == ([], 0)
                assert books.mails == [
                    "The payment of your order N failed",
                    "We received your order N",
                ]
            else:
                assert (books.moves, books.parcels) == (["authorise", "capture"], 1)
                assert books.mails == ["We received your order N"]
        events = await system._orders.all_events(limit=1000)
        assert sum(event.type.name == "order-created" for event in events) == len(CARDS)
        assert await dead_letters(foreigner(system, broker_url)) == {}
