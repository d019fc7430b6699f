"""The shop's journeys in a browser that runs no scripts: the same, by reloading."""

import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import anyio.to_thread
import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from actors.parties import Parties
from bench.ports import free_port
from tests.harness.chromium import PATIENCE_MS, chromium, visit
from tests.harness.command import FREE_PORTS, Serving
from tests.harness.embedded import EmbeddedServer
from tests.harness.parties import Gate, Unreachable, WilfulProvider
from tests.harness.proxy import proxy_to
from tests.harness.shop_window import buy, fill_cart, fill_checkout
from tests.harness.system import live_system
from tests.harness.waiting import eventually

pytestmark = pytest.mark.browser

TRIED = re.compile(r"Refund attempt (\d+) did not succeed. The next one begins at")


@pytest.fixture(scope="module")
async def browser(chromium_is_installed: None) -> AsyncIterator[Browser]:
    """A running browser."""
    async with chromium() as browser:
        yield browser


def window(browser: Browser, url: str) -> AbstractAsyncContextManager[Page]:
    """Open a window that runs no scripts."""
    return visit(browser, url, java_script_enabled=False)


async def says(page: Page, text: str) -> None:
    """Reload until the order's status says this."""

    async def said() -> bool:
        if text in await page.get_by_role("status").inner_text():
            return True
        await page.reload()
        return False

    await eventually(said, within_s=30)


def gated(call: str, gate: Gate, parties: Parties) -> Parties:
    provider = WilfulProvider(parties.provider)
    provider.gates[call] = gate
    return msgspec.structs.replace(parties, provider=provider)


async def test_the_address_is_changed_in_its_window_and_refused_after_it(
    browser: Browser, tmp_path: Path
) -> None:
    gate = Gate()
    async with (
        live_system(tmp_path, wrap=lambda parties: gated("authorise", gate, parties)) as system,
        window(browser, system.running.url) as page,
    ):
        order = await buy(page)
        await says(page, "Your payment is on its way.")
        await page.get_by_role("link", name="Change address").click()
        await page.fill("#line1", "Unter den Linden 77")
        await page.get_by_role("button", name="Deliver there").click()
        await expect(page.locator("address")).to_contain_text("Unter den Linden 77")
        await page.goto(f"/orders/{order}/address")
        gate.open()
        await system.wait_for(order, "shipping-prepared")
        await page.fill("#line1", "Somewhere else 1")
        await page.get_by_role("button", name="Deliver there").click()
        await expect(page.locator(".locked")).to_contain_text("We began to pack")
        await page.get_by_role("link", name="Back to the order").click()
        await expect(page.locator("address")).to_contain_text("Unter den Linden 77")
        await expect(page.locator(".three [aria-disabled=true]")).to_have_count(3)


async def test_a_cancelled_order_is_refunded(browser: Browser, tmp_path: Path) -> None:
    gate = Gate()
    async with (
        live_system(
            tmp_path,
            wrap=lambda parties: gated("refund", gate, parties),
            shipping={"hold_s": 60.0},
        ) as system,
        window(browser, system.running.url) as page,
    ):
        await buy(page)
        await says(page, "Paid. We pack your parcel next.")
        await page.get_by_role("link", name="Cancel order").click()
        await expect(page.locator(".lead")).to_contain_text("14.50 EUR go back to your Visa")
        await page.get_by_role("button", name="Cancel the order").click()
        await says(page, "Your refund is on its way.")
        gate.open()
        await says(page, "Cancelled, and refunded.")


async def test_a_refund_that_is_tried_again_says_so(browser: Browser, tmp_path: Path) -> None:
    refunds = Unreachable("refund")
    async with (
        live_system(tmp_path, wrap=refunds, shipping={"hold_s": 60.0}) as system,
        window(browser, system.running.url) as page,
    ):
        await buy(page)
        await says(page, "Paid. We pack your parcel next.")
        await page.get_by_role("link", name="Cancel order").click()
        await page.get_by_role("button", name="Cancel the order").click()
        # A reload while the form is still being answered has no page to reload.
        await page.wait_for_url(re.compile("/orders/ord_[0-9A-Z]+$"))

        async def tried() -> int | None:
            await page.reload()
            told = TRIED.search(await page.locator("#live-hold").inner_text())
            return int(told[1]) if told else None

        # Between two looks there may be more than one attempt.
        first = await eventually(tried, within_s=30)
        later = await eventually(lambda: _more_than(first, tried), within_s=30)
        assert later <= refunds.calls
        refunds.back()
        await says(page, "Cancelled, and refunded.")
        await expect(page.locator("#live-hold")).to_have_text("")


async def _more_than(least: int, look: Callable[[], Awaitable[int | None]]) -> int | None:
    seen = await look()
    return seen if seen is not None and seen > least else None


async def test_a_double_click_and_two_tabs_make_one_order(browser: Browser, tmp_path: Path) -> None:
    async with live_system(tmp_path) as system, window(browser, system.running.url) as page:
        await fill_cart(page)
        await fill_checkout(page, "pm_card_visa")
        other = await page.context.new_page()
        await other.goto("/checkout")
        await fill_checkout(other, "pm_card_visa")
        await page.get_by_role("button", name="Order and pay").dblclick()
        # The second click aborts the navigation of the first: only where it ends counts.
        await expect(page).to_have_url(re.compile("/orders/ord_"), timeout=PATIENCE_MS)
        await other.get_by_role("button", name="Order and pay").click()
        await other.wait_for_url("**/orders/ord_*")
        assert page.url == other.url
        answer = await system.call("GET", "/v1/orders", token="operator")
        assert len(answer.json()["data"]) == 1


async def test_an_order_goes_on_when_the_broker_is_back(browser: Browser, tmp_path: Path) -> None:
    with EmbeddedServer() as server:
        async with (
            proxy_to(server.url) as proxy,
            live_system(tmp_path, proxy.url(server.url)) as system,
            window(browser, system.running.url) as page,
        ):
            proxy.refuse()
            proxy.cut()
            await buy(page)
            await page.reload()
            await expect(page.get_by_role("status")).to_contain_text("we have your order")
            proxy.refuse(False)
            await says(page, "Your parcel is packed.")


async def test_a_page_is_good_after_the_server_was_killed_and_started_again(
    browser: Browser, tmp_path: Path
) -> None:
    port = free_port()
    options = [*FREE_PORTS, "--set", f"http.port={port}", "--set", "payment.hold_s=60"]
    command = ["-q", *options, "--set", "retry.tiers_s=1", "up"]

    def start() -> Serving:
        serving = Serving(command, tmp_path)
        serving.wait_for("ready in")
        return serving

    server = await anyio.to_thread.run_sync(start)
    try:
        async with window(browser, f"http://127.0.0.1:{port}") as page:
            await buy(page)
            server.signal(signal.SIGKILL)
            server.close()
            server = await anyio.to_thread.run_sync(start)
            # The page of before: its link, its form and its cookie are good.
            await page.get_by_role("link", name="Cancel order").click()
            await page.get_by_role("button", name="Cancel the order").click()
            await says(page, "Cancelled.")
    finally:
        server.close()
