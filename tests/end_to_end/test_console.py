"""The console in a real browser, and over services in processes of their own."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from actors.dead_letters import SLICE
from actors.gateway.console import order as order_pages
from actors.gateway.console.routes import CONSOLE
from actors.parties import Parties
from tests.harness.apart import Apart
from tests.harness.browser_client import BrowserClient
from tests.harness.browser_client import Page as WebPage
from tests.harness.chromium import assert_sound, axe_violations, chromium, overflow, visit
from tests.harness.operator_pages import browser_at, log_in
from tests.harness.parties import WilfulProvider
from tests.harness.system import live_system, order_body
from tests.harness.waiting import eventually

WITHIN_MS = 30_000
WIDE = {"width": 1920, "height": 1080}
LANES = "/ops/actors/ordermill/payment-service/payment/messages-payment/lanes-payment"
LETTER = re.compile("Dead letter.*payment has parked")
SEEN: dict[str, tuple[str, ...]] = {
    "ops_login": ("/ops/login",),
    "ops_overview": ("/ops",),
    "ops_orders": ("/ops/orders", "/ops/orders?q=nobody@example.org"),
    "ops_order": (
        *(f"/ops/orders/{{order}}?view={view}" for view in ("story", "lanes", "raw")),
        *("/ops/orders/{order}?at=2", "/ops/orders/{poisoned}", "/ops/orders/{waiting}"),
        *("/ops/orders/{order}?view=raw&order=newest", "/ops/orders/{order}?upto=4"),
    ),
    "ops_events": ("/ops/events", "/ops/events?after=0"),
    "ops_event": ("/ops/events/{event}",),
    "ops_outbox": ("/ops/outbox", "/ops/outbox?done=flush"),
    "ops_topology": ("/ops/topology",),
    "ops_actor": (
        "/ops/actors/ordermill/order-events/order-events",
        *("/ops/actors/ordermill/payment-service", "/ops/actors/ordermill/http-gateway"),
        LANES,
    ),
    "ops_audit": ("/ops/audit",),
    "ops_config": ("/ops/config",),
    "ops_letters": ("/ops/dead-letters", "/ops/dead-letters?queue=shipping"),
    "ops_work": ("/ops/dead-letters/work",),
    "ops_letter": ("/ops/dead-letters/payment/{event}",),
    "not found": ("/ops/nowhere",),
}
"""Where each page is looked at, by its id in the table of pages."""
SETTINGS = ("payment.hold_s=0", "shipping.hold_s=0", "retry.tiers_s=1", "api.rate_per_min=0")


@pytest.fixture
async def browser(chromium_is_installed: None) -> AsyncIterator[Browser]:
    """A running browser."""
    async with chromium() as browser:
        yield browser


async def says(page: Page, text: str) -> None:
    """Wait until the first live region says this, without a reload."""
    await expect(page.get_by_role("status").first).to_contain_text(text, timeout=WITHIN_MS)


@pytest.mark.browser
async def test_a_stuck_order_is_seen_explained_and_freed(browser: Browser, tmp_path: Path) -> None:
    provider: list[WilfulProvider] = []

    def wilful(parties: Parties) -> Parties:
        assert parties.provider is not None
        provider.append(WilfulProvider(parties.provider))
        return msgspec.structs.replace(parties, provider=provider[0])

    async with (
        live_system(tmp_path, wrap=wilful, retry={"attempts_max": 1}) as system,
        visit(browser, system.running.url) as page,
    ):
        await page.goto(system.running.login_path())
        await page.wait_for_url("**/ops")
        await page.evaluate("document.body.dataset.same = 'yes'")
        await says(page, "None.")
        provider[0].unreachable["authorise"] = 10**6
        order = await system.place()
        await says(page, "payment has parked order-created")
        assert await page.evaluate("document.body.dataset.same") == "yes", "it was reloaded"

        await page.get_by_role("link", name=LETTER).click()
        await expect(page.locator(".reason")).to_contain_text("exhausted: Unavailable")
        await page.get_by_role("link", name="See the order").click()
        await says(page, "payment has parked order-created, and holds the payment lock since v2")

        provider[0].unreachable["authorise"] = 0
        await page.get_by_role("link", name=LETTER).click()
        await page.get_by_role("button", name="Replay…").click()
        await page.get_by_label("Reason").fill("the provider answers again")
        await page.get_by_role("button", name="Replay 1").click()
        await says(page, "1 replayed")
        await page.goto(f"/ops/orders/{order.id}")
        await says(page, "No service of ours has failed or is late with it")
        await order.wait_for("shipping-prepared")


@pytest.mark.browser
async def test_every_page_fits_its_window_and_can_be_used_by_all(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_pages, "PAGE", 4)  # so that five events are a history in parts
    async with (
        live_system(tmp_path, retry={"tiers_s": [600]}) as system,
        visit(browser, system.running.url) as page,
    ):
        poisoned = await system.place("pm_card_poison")
        waiting = await system.place("pm_card_flaky")
        order = await system.place()
        await order.wait_for("shipping-prepared")
        await page.goto(system.running.login_path())
        await says(page, "payment has parked order-created")
        event = (await system.events(poisoned.id))[0].id
        named = {"order": order.id, "poisoned": poisoned.id, "waiting": waiting.id, "event": event}
        for path in [path for paths in SEEN.values() for path in paths]:
            await page.goto(path.format(**named))
            await assert_sound(page, path)
        await page.goto("/ops/dead-letters")
        await page.get_by_role("checkbox").check()
        await page.get_by_role("button", name=re.compile("Discard the chosen")).click()
        await page.wait_for_url("**/review")
        await assert_sound(page, "what would be discarded")
        await page.set_viewport_size(WIDE)
        await page.goto("/ops/topology")
        assert (await overflow(page), await axe_violations(page)) == (0, [])


@pytest.mark.browser
async def test_a_paused_log_counts_what_is_new_and_shows_it_when_asked(
    browser: Browser, tmp_path: Path
) -> None:
    async with live_system(tmp_path) as system, visit(browser, system.running.url) as page:
        await page.goto(system.running.login_path())
        await page.wait_for_url("**/ops")
        await page.goto("/ops/events")
        state = page.locator("[data-live-state]")
        await state.get_by_role("button", name="Pause").click()
        order = await system.place()
        await order.wait_for("shipping-prepared")
        new = len(await system.events(order.id))
        await expect(state).to_contain_text(f"Paused, {new} new", timeout=WITHIN_MS)
        await expect(page.locator("#live-events")).not_to_contain_text(order.id)
        await state.get_by_role("button", name="Show them").click()
        await expect(page.locator("#live-events")).to_contain_text(order.id, timeout=WITHIN_MS)
        await expect(state).to_contain_text("Live")


@pytest.mark.browser
async def test_a_long_work_is_watched_and_stopped(browser: Browser, tmp_path: Path) -> None:
    many = SLICE + 1
    async with (
        live_system(tmp_path, retry={"attempts_max": 1}) as system,
        visit(browser, system.running.url) as page,
    ):
        for _ in range(many):
            await system.place("pm_card_poison")

        async def parked() -> list[dict[str, str]] | None:
            path = "/v1/admin/dead-letters?queue=payment"
            rows = (await system.call("GET", path, token="operator")).json()["data"]
            return rows if len(rows) == many else None

        chosen = [{"queue": "payment", "id": row["id"]} for row in await eventually(parked)]
        await page.goto(system.running.login_path())
        await page.wait_for_url("**/ops")
        await page.goto("/ops/dead-letters/work")
        await says(page, "Nothing was begun")
        # Nobody gets at the parked messages while somebody looks: the first step waits, as it does
        # where a broker is slow.
        async with system.running.system.payment.messages.dead_letters._looking:
            body = {"action": "discard", "letters": chosen, "reason": "not needed"}
            path = "/v1/admin/dead-letters/work"
            assert (await system.call("POST", path, body, token="operator")).status_code == 202
            await says(page, f"Going on 0 of {many}")
            await page.get_by_role("button", name="Stop payment").click()
            await says(page, f"Stopping 0 of {many}")
            await expect(page.get_by_role("button", name="Stop payment")).to_have_count(0)
        await says(page, f"Stopped {SLICE} of {many}")
        await page.goto("/ops/dead-letters?queue=payment")
        await expect(page.get_by_role("checkbox")).to_have_count(1)


def test_every_page_is_among_those_that_are_looked_at() -> None:
    shown = {page.id for page in CONSOLE if page.method == "GET" and page.document}
    assert set(SEEN) - {"not found"} == shown


async def shown(pages: BrowserClient, path: str, text: str) -> WebPage:
    """Look until the page has the text: it is made of answers of several processes."""

    async def looked() -> WebPage | None:
        page = await pages.get(path)
        return page if text in page.text else None

    return await eventually(looked)


@pytest.mark.parametrize("broker", ["embedded", "rabbitmq"])
async def test_services_of_their_own_are_seen_and_one_that_is_away_is_named(
    broker: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    url = "embedded"
    if broker == "rabbitmq":
        node = request.getfixturevalue("rabbitmq")
        url = f"amqp://{node.user}:{node.password}@{node.host}:{node.port}/{node.vhost()}"
    apart = Apart(tmp_path, url, *SETTINGS, "retry.attempts_max=1")
    try:
        apart.start()
        token = (apart.data_dir / "secrets" / "operator-token").read_text()
        async with httpx.AsyncClient(
            base_url=apart.url("gateway"), trust_env=False, timeout=60
        ) as client:
            placed = await client.post("/v1/orders", json=order_body("pm_card_poison"))
            pages = browser_at(client)
            await log_in(pages, token)

            async def parked() -> bool:
                table = (await pages.get("/ops/topology")).root.one(id="live-places").text
                return "ready 0, oldest none, later 0, parked 1" in table

            await eventually(parked)

            async def everybody_tells() -> bool:
                table = (await pages.get("/ops/topology")).root.one(id="live-places").text
                return "?" not in table

            await eventually(everybody_tells)
            topology = await pages.get("/ops/topology")
            assert len(topology.root.one(id="live-trees").all("ul")) == 5, "five processes"
            overview = await shown(pages, "/ops", "payment has parked order-created")
            letter = await pages.get(overview.link(": payment has parked order-created"))
            assert placed.json()["id"] in letter.text
            order = await pages.get(f"/ops/orders/{placed.json()['id']}")
            assert "payment: parked (1 attempt)" in order.text
            told = topology.root.one(id="live-broker").text
            assert "Not available: the management API is not configured." in told

            await shown(pages, LANES, "message.dead queue=payment")
            apart.kill("payment")
            away = await pages.get("/ops")
            assert "payment is unreachable since" in away.text
            topology = await pages.get("/ops/topology")
            assert "unacked ?" in topology.root.one(id="live-places").text
            apart.start("payment")

            async def back() -> bool:
                return "unreachable" not in (await pages.get("/ops")).text

            await eventually(back)
            await shown(pages, "/ops", "payment has parked order-created")
            await _restart_apart(pages, client, token)
    finally:
        apart.close()


async def _restart_apart(pages: BrowserClient, client: httpx.AsyncClient, token: str) -> None:
    """Restart somebody in another process, and somebody in the gateway's own."""
    page = await pages.get(LANES)
    assert "What waits" in page.text
    assert "restarts" not in page.text
    done = await pages.submit(page.form(LANES), reason="it looked odd")
    assert "The restart has begun" in done.text

    async def restarted() -> bool:
        return "1 restart" in (await pages.get(LANES)).text

    await eventually(restarted)
    operator = {"authorization": f"Bearer {token}"}
    body = {"path": "ordermill/loop-lag"}
    several = await client.post("/v1/admin/actors/restart", json=body, headers=operator)
    assert several.status_code == 409
    assert several.json()["type"].endswith("/problems/ambiguous")
    ours = {**body, "service": "gateway"}
    told = await client.post("/v1/admin/actors/restart", json=ours, headers=operator)
    assert told.status_code == 202
    audit = (await client.get("/v1/admin/audit", headers=operator)).json()["data"]
    deeds = {(row["service"], row["target"], row["outcome"]) for row in audit}
    path = LANES.removeprefix("/ops/actors/")
    assert {
        ("payment", path, "begun"),
        ("order-events", "gateway: ordermill/loop-lag", "begun"),
    } <= deeds
