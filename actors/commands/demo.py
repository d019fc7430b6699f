"""``ordermill demo``: one order through a throw-away system, and what happened, line by line."""

import email
import email.policy
import json
import tempfile
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import click
import httpx
import msgspec
from anyio.abc import TaskStatus

from actors.cli import Options
from actors.commands.order import SAMPLE_ADDRESS
from actors.commands.settings import load_settings, telemetry_for
from actors.process import Running, run_system
from actors.settings import Settings
from runtime.errors import Rejection
from runtime.host import Clock, Host, production_host
from runtime.telemetry import Telemetry

ITEMS = [{"sku": "MUG-1", "quantity": 2}, {"sku": "TEA-1", "quantity": 1}]
NEW_ADDRESS = {**SAMPLE_ADDRESS, "line1": "Unter den Linden 77", "postal_code": "10117"}
PATIENCE_S = 60.0
POLL_S = 0.02

Json = dict[str, Any]


class Scenario(msgspec.Struct, frozen=True):
    """One story: the card, the holds, what the customer does and when, how it must end.

    ``action`` is taken when ``after`` has happened; ``mails`` are the templates that must be sent.
    """

    about: str
    ends: str
    mails: tuple[str, ...]
    card: str = "pm_card_visa"
    after: str = ""
    action: tuple[str, str, object] | None = None
    payment_hold_s: float = 0.0
    shipping_hold_s: float = 0.0


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


@click.command()
@click.option("--scenario", type=click.Choice([*SCENARIOS, "all"]), default="happy")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="0 takes a free one.")
@click.option("--data-dir", type=click.Path(path_type=Path), help="Keep the data here.")
@click.pass_obj
def demo(options: Options, scenario: str, port: int, data_dir: Path | None) -> None:
    """Run one order through a throw-away system and watch it."""
    names = list(SCENARIOS) if scenario == "all" else [scenario]
    for name in names:
        with ExitStack() as stack:
            folder = data_dir or Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="ordermill-demo-"))
            )
            settings = _settings(options, SCENARIOS[name], port, folder / name)
            anyio.run(_play, name, settings, options)


def _settings(options: Options, scenario: Scenario, port: int, folder: Path) -> Settings:
    flags = {
        "data_dir": str(folder),
        "http.port": port,
        **{f"{service}.port": 0 for service in ("order_events", "payment", "shipping")},
        "notification.port": 0,
        "payment.hold_s": scenario.payment_hold_s,
        "shipping.hold_s": scenario.shipping_hold_s,
        "shipping.auto_ship_s": 0.3,
        "retry.tiers_s": "[1]",
    }
    return load_settings(options, flags=flags, defaults={"log.level": "warning"}).settings


async def _play(name: str, settings: Settings, options: Options) -> None:
    scenario = SCENARIOS[name]
    host = production_host(Path(settings.data_dir))
    stopping = anyio.Event()
    click.echo(
        f"ordermill demo  scenario={name}  ({scenario.about})  broker={settings.broker.url}  "
        f"data={settings.data_dir}"
    )
    async with anyio.create_task_group() as tasks:
        began = host.clock.monotonic()
        running = await tasks.start(
            _start, settings, host, telemetry_for(settings, options, host.clock.wall), stopping
        )
        click.echo(f"ready in {host.clock.monotonic() - began:.1f}s  {running.url}\n")
        try:
            await _order(scenario, running, host.clock)
        finally:
            stopping.set()


async def _start(
    settings: Settings,
    host: Host,
    telemetry: Telemetry,
    stopping: anyio.Event,
    *,
    task_status: TaskStatus[Running],
) -> None:
    await run_system(settings, host, telemetry, stopping=stopping, ready=task_status.started)


async def _order(scenario: Scenario, running: Running, clock: Clock) -> None:
    body = {
        "customer": {"name": "Ada Lovelace", "email": "ada@example.org"},
        "items": ITEMS,
        "shipping_address": SAMPLE_ADDRESS,
        "payment": {"token": scenario.card},
    }
    async with httpx.AsyncClient(
        base_url=running.url, trust_env=False, timeout=PATIENCE_S
    ) as client:
        began = clock.wall()
        placed = await _call(client, "POST", "/v1/orders", body)
        client.headers["authorization"] = f"Bearer {placed['access_token']}"
        total = placed["total"]
        click.echo(f"order {placed['id']}  {total['currency']} {total['amount'] / 100:.2f}")
        story = _Story(scenario, client, str(placed["id"]), began)
        with anyio.fail_after(PATIENCE_S):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(story.watch_mails, running.mail_dir)
                tasks.start_soon(story.watch_events)
    took = clock.wall() - began
    click.echo(
        f"OK  {scenario.about} in {took:.2f}s   {story.events} events, {len(story.mails)} e-mails\n"
    )


class _Story:
    """Prints what happens to one order as it happens, and acts for the customer."""

    def __init__(
        self, scenario: Scenario, client: httpx.AsyncClient, order_id: str, began: float
    ) -> None:
        self.events = 0
        self.mails: list[str] = []
        self._scenario = scenario
        self._client = client
        self._path = f"/v1/orders/{order_id}"
        self._began = began

    async def watch_events(self) -> None:
        async with self._client.stream("GET", f"{self._path}/events/stream") as response:
            async for line in response.aiter_lines():
                event = json.loads(line[5:]) if line.startswith("data:") else {}
                if "version" not in event:
                    continue
                self.events += 1
                name = event["type"].partition("/")[0]
                at = datetime.fromisoformat(event["time"]).timestamp()
                self._print(at, f"v{event['version']:<3}{name:<34}{event['app_id']}")
                if name == self._scenario.after:
                    await self._act()
                if name == self._scenario.ends:
                    return

    async def _act(self) -> None:
        assert self._scenario.action is not None, "a scenario with `after` has an action"
        method, what, body = self._scenario.action
        await _call(self._client, method, f"{self._path}/{what}", body)

    async def watch_mails(self, folder: Path) -> None:
        while len(self.mails) < len(self._scenario.mails):
            for path in await anyio.to_thread.run_sync(_files, folder):
                if path.name not in self.mails:
                    self.mails.append(path.name)
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
