"""The demo's stories: what a customer does, what must come of it, and telling it line by line."""

import email
import email.policy
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import anyio
import anyio.to_thread
import click
import httpx
import msgspec

from actors.commands.order import SAMPLE_ADDRESS
from runtime.errors import Rejection, Unavailable

ITEMS = [{"sku": "MUG-1", "quantity": 2}, {"sku": "TEA-1", "quantity": 1}]
NEW_ADDRESS = {**SAMPLE_ADDRESS, "line1": "Unter den Linden 77", "postal_code": "10117"}
PATIENCE_S = 60.0
POLL_S = 0.02

Json = dict[str, Any]


class Scenario(msgspec.Struct, frozen=True):
    """One story: the card, the holds, what the customer does and when, how it must end.

    ``action`` is taken when ``after`` has happened; ``mails`` are the templates that must be sent;
    ``crashes`` kills the system between the acceptance and everything else.
    """

    about: str
    ends: str
    mails: tuple[str, ...]
    card: str = "pm_card_visa"
    after: str = ""
    action: tuple[str, str, object] | None = None
    payment_hold_s: float = 0.0
    shipping_hold_s: float = 0.0
    crashes: bool = False


SCENARIOS: dict[str, Scenario] = {
    "happy": Scenario(
        "placed, paid, prepared, shipped", "shipped", ("order-received", "order-shipped")
    ),
    "decline": Scenario(
        "the card is declined",
        "payment-auth-failed",
        ("order-received", "payment-failed"),
        card="pm_card_declined",
    ),
    "address-edit": Scenario(
        "the customer moves before preparation begins",
        "shipped",
        ("order-received", "order-shipped"),
        after="payment-captured",
        action=("PUT", "shipping-address", NEW_ADDRESS),
        shipping_hold_s=0.5,
    ),
    "cancel": Scenario(
        "cancelled before payment began",
        "order-cancelled",
        ("order-received", "order-cancelled"),
        after="order-created",
        action=("POST", "cancellation", {"reason": "changed my mind"}),
        payment_hold_s=1.0,
    ),
    "crash": Scenario(
        "the whole system is killed (SIGKILL) as soon as the order is accepted",
        "shipped",
        ("order-received", "order-shipped"),
        payment_hold_s=0.2,
        crashes=True,
    ),
    "refund-retry": Scenario(
        "cancelled after the capture; the refund fails three times",
        "payment-refunded",
        ("order-received", "order-cancelled"),
        card="pm_card_refund_flaky",
        after="payment-captured",
        action=("POST", "cancellation", {}),
        shipping_hold_s=5.0,
    ),
}


class Story:
    """One order: placed, followed, and acted on for the customer; printed as it happens."""

    def __init__(self, scenario: Scenario, order: Json, wall: Callable[[], float]) -> None:
        self._scenario = scenario
        self._token = str(order["access_token"])
        self._path = f"/v1/orders/{order['id']}"
        self._wall = wall
        self._began = datetime.fromisoformat(order["created_at"]).timestamp()
        self._events: list[str] = []
        self._mails: list[str] = []

    @classmethod
    async def begin(cls, scenario: Scenario, url: str, wall: Callable[[], float]) -> Self:
        """Place the order."""
        body = {
            "customer": {"name": "Ada Lovelace", "email": "ada@example.org"},
            "items": ITEMS,
            "shipping_address": SAMPLE_ADDRESS,
            "payment": {"token": scenario.card},
        }
        async with httpx.AsyncClient(base_url=url, trust_env=False) as client:
            order = await _call(client, "POST", "/v1/orders", body)
        total = order["total"]
        click.echo(f"order {order['id']}  {total['currency']} {total['amount'] / 100:.2f}")
        return cls(scenario, order, wall)

    async def follow(self, url: str, mail_dir: Path) -> None:
        """Print events and mails until the story has ended as it must; `Unavailable` if not."""
        headers = {"authorization": f"Bearer {self._token}"}
        with anyio.move_on_after(PATIENCE_S):
            async with (
                httpx.AsyncClient(
                    base_url=url, headers=headers, trust_env=False, timeout=PATIENCE_S
                ) as client,
                anyio.create_task_group() as tasks,
            ):
                tasks.start_soon(self._watch_mails, mail_dir)
                await self._watch_events(client)
        if self._scenario.ends not in self._events or len(self._mails) < len(self._scenario.mails):
            raise Unavailable(f"not {self._scenario.ends} and mailed within {PATIENCE_S:g} s")
        took = self._wall() - self._began
        click.echo(
            f"OK  {self._scenario.about}; {took:.2f}s, {len(self._events)} events, "
            f"{len(self._mails)} e-mails\n"
        )

    async def _watch_events(self, client: httpx.AsyncClient) -> None:
        async with client.stream("GET", f"{self._path}/events/stream") as response:
            async for line in response.aiter_lines():
                event = json.loads(line[5:]) if line.startswith("data:") else {}
                if "version" not in event:
                    continue
                name = event["type"].partition("/")[0]
                self._events.append(name)
                at = datetime.fromisoformat(event["time"]).timestamp()
                self._print(at, f"v{event['version']:<3}{name:<34}{event['app_id']}")
                if name == self._scenario.after:
                    await self._act(client)
                if name == self._scenario.ends:
                    return

    async def _act(self, client: httpx.AsyncClient) -> None:
        assert self._scenario.action is not None, "a scenario with `after` has an action"
        method, what, body = self._scenario.action
        await _call(client, method, f"{self._path}/{what}", body)

    async def _watch_mails(self, folder: Path) -> None:
        while len(self._mails) < len(self._scenario.mails):
            for path in await anyio.to_thread.run_sync(_files, folder):
                if path.name not in self._mails:
                    self._mails.append(path.name)
                    mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
                    self._print(path.stat().st_mtime, f"    e-mail: {mail['Subject']}")
            await anyio.sleep(POLL_S)

    def _print(self, at: float, text: str) -> None:
        click.echo(f" +{max(0.0, at - self._began):6.3f}s  {text}")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("[!.]*")) if folder.is_dir() else []


async def _call(client: httpx.AsyncClient, method: str, path: str, body: object) -> Json:
    response = await client.request(method, path, json=body)
    answer: Json = response.json()
    if response.status_code >= 400:
        raise Rejection("refused", f"{method} {path}: {answer.get('title')}", details=answer)
    return answer
