"""The shop in a real browser: bought, watched, changed and cancelled, while parts of it fail."""

import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import anyio.to_thread
import msgspec
import pytest
from playwright.async_api import Browser, Page, expect

from actors.gateway.pages.routes import PAGES
from actors.parties import Parties
from bench.ports import free_port
from tests.harness.chromium import PHONE, assert_sound, chromium, visit
from tests.harness.command import FREE_PORTS, Serving
from tests.harness.embedded import EmbeddedServer
from tests.harness.parties import Gate, Unreachable, WilfulProvider
from tests.harness.proxy import proxy_to
from tests.harness.shop_window import WHO, buy, fill_cart, fill_checkout
from tests.harness.system import live_system

pytestmark = pytest.mark.browser

WITHIN_MS = 30_000
EMPTY = ("/cart", "/demo/mailbox")
SEEN: dict[str, tuple[str, ...]] = {
    "page_products": ("/",),
    "page_product": ("/products/MUG-1",),
    "page_cart": ("/cart",),
    "page_checkout": ("/checkout",),
    "page_order": ("/orders/{order}",),
    "page_payment": ("/orders/{order}/payment",),
    "page_address": ("/orders/{order}/address",),
    "page_cancel": ("/orders/{order}/cancel",),
    "page_find": ("/orders/find", "/orders/find?asked=1"),
    "page_mailbox": ("/demo/mailbox",),
    "page_test_cards": ("/help/test-cards",),
    "page_api": ("/docs/api",),
    "page_broker": ("/docs/events",),
    "page_problems": ("/problems", "/problems/shipping-locked"),
    "not found": ("/nowhere",),
}
"""Where each page is looked at, by its id in the table of pages."""


@pytest.fixture(scope="module")
async def browser(chromium_is_installed: None) -> AsyncIterator[Browser]:
    """A running browser."""
    async with chromium() as browser:
        yield browser


async def says(page: Page, text: str) -> None:
    """Wait until the order's status says this."""
    await expect(page.get_by_role("status")).to_contain_text(text, timeout=WITHIN_MS)


async def state(page: Page, text: str) -> None:
    """Wait until the page says this of its own connection."""
    await expect(page.locator("[data-live-state]")).to_have_text(text, timeout=WITHIN_MS)


async def mark(page: Page) -> None:
    """Remember this document: a reload would forget it."""
    await page.evaluate("document.body.dataset.same = 'yes'")


async def assert_never_reloaded(page: Page) -> None:
    assert await page.evaluate("document.body.dataset.same") == "yes"


async def test_bought_with_the_keyboard_alone_and_watched_until_it_is_shipped(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        live_system(tmp_path, shipping={"auto_ship_s": 1.0}) as system,
        visit(browser, system.running.url) as page,
    ):
        await page.goto("/products/MUG-1")
        await tab_to(page, "Add to cart")
        async with page.expect_navigation():
            await page.keyboard.press("Enter")
        await tab_to(page, "Checkout")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/checkout")
        for name, text in WHO.items():
            await tab_to(page, name)
            await page.keyboard.type(text)
        await tab_to(page, "token")
        await page.keyboard.press("ArrowDown")
        await page.keyboard.press("ArrowUp")
        await tab_to(page, "Order and pay 14.50 EUR")
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/orders/ord_*")
        await mark(page)
        await says(page, "Your parcel is on its way.")
        await state(page, "Complete")
        assert await page.locator(".steps .done").count() == 4
        sentences = await page.locator(".timeline > li > p").all_inner_texts()
        assert len(sentences) == 6
        await expect(page.locator(".mails li")).to_have_count(2, timeout=WITHIN_MS)
        assert await page.locator(".three a[href]").count() == 0
        await assert_never_reloaded(page)


async def tab_to(page: Page, name: str) -> None:
    """Press Tab until the element with this name, text or id has the focus."""
    here = "(({id, name, innerText}) => [id, name, innerText])(document.activeElement)"
    for _ in range(60):
        await page.keyboard.press("Tab")
        if name in await page.evaluate(here):
            visible = "document.activeElement.matches(':focus-visible')"
            assert await page.evaluate(visible), f"{name} does not show its focus"
            return
    raise AssertionError(f"{name} cannot be reached with Tab")


async def test_a_declined_card_is_told_and_the_same_is_ordered_again(
    browser: Browser, tmp_path: Path
) -> None:
    async with live_system(tmp_path) as system, visit(browser, system.running.url) as page:
        first = await buy(page, "pm_card_declined")
        await says(page, "The payment failed.")
        await page.get_by_role("button", name="Cancel and order again").click()
        await page.wait_for_url("**/checkout")
        await fill_checkout(page, "pm_card_visa")
        await page.get_by_role("button", name="Order and pay 14.50 EUR").click()
        await page.wait_for_url("**/orders/ord_*")
        await says(page, "Your parcel is packed.")
        await page.goto(f"/orders/{first}")
        await says(page, "Cancelled.")


async def test_the_address_is_changed_in_its_window_and_refused_after_it(
    browser: Browser, tmp_path: Path
) -> None:
    gate = Gate()

    def gated(parties: Parties) -> Parties:
        provider = WilfulProvider(parties.provider)
        provider.gates["authorise"] = gate
        return msgspec.structs.replace(parties, provider=provider)

    async with (
        live_system(tmp_path, wrap=gated) as system,
        visit(browser, system.running.url, viewport=PHONE) as page,
    ):
        order = await buy(page)
        await says(page, "Your payment is on its way.")
        await page.get_by_role("link", name="Change address").click()
        await page.fill("#line1", "Unter den Linden 77")
        await page.get_by_role("button", name="Deliver there").click()
        await page.wait_for_url(f"**/orders/{order}")
        await expect(page.locator("address")).to_contain_text("Unter den Linden 77")
        await page.goto(f"/orders/{order}/address")
        gate.open()
        await system.wait_for(order, "shipping-prepared")
        await page.fill("#line1", "Somewhere else 1")
        await page.get_by_role("button", name="Deliver there").click()
        await expect(page.locator(".locked")).to_contain_text("We began to pack")
        await expect(page.get_by_role("alert")).to_contain_text("The order has moved on")
        await page.get_by_role("link", name="Back to the order").click()
        await expect(page.locator("address")).to_contain_text("Unter den Linden 77")
        locked = page.locator(".three [aria-disabled=true]")
        await expect(locked).to_have_count(3)


async def test_a_cancelled_order_is_watched_until_it_is_refunded(
    browser: Browser, tmp_path: Path
) -> None:
    gate = Gate()

    def gated(parties: Parties) -> Parties:
        provider = WilfulProvider(parties.provider)
        provider.gates["refund"] = gate
        return msgspec.structs.replace(parties, provider=provider)

    async with (
        live_system(tmp_path, wrap=gated, shipping={"hold_s": 60.0}) as system,
        visit(browser, system.running.url) as page,
    ):
        await buy(page)
        await says(page, "Paid. We pack your parcel next.")
        await expect(page.locator("#live-hold")).to_contain_text(re.compile(r"in \d+ s"))
        await page.get_by_role("link", name="Cancel order").click()
        await expect(page.locator(".lead")).to_contain_text("14.50 EUR go back to your Visa")
        await tab_to(page, "reason")
        await page.keyboard.type("changed my mind")
        await tab_to(page, "Cancel the order")
        await page.keyboard.press("Enter")
        await says(page, "Your refund is on its way.")
        await mark(page)
        gate.open()
        await says(page, "Cancelled, and refunded.")
        await assert_never_reloaded(page)


async def test_how_often_a_refund_was_tried_is_counted_without_a_reload(
    browser: Browser, tmp_path: Path
) -> None:
    refunds = Unreachable("refund")
    async with (
        live_system(tmp_path, wrap=refunds, shipping={"hold_s": 60.0}) as system,
        visit(browser, system.running.url) as page,
    ):
        await buy(page)
        await says(page, "Paid. We pack your parcel next.")
        await page.get_by_role("link", name="Cancel order").click()
        await page.get_by_role("button", name="Cancel the order").click()
        await says(page, "Your refund is on its way.")
        await mark(page)
        tried = page.get_by_text(re.compile(r"Refund attempt \d+ (did not succeed|is being made)"))
        await expect(tried).to_contain_text("Refund attempt", timeout=WITHIN_MS)
        seen = (await tried.inner_text()).split()[2]
        # Whichever it was when we looked: it goes on to another.
        await expect(tried).not_to_contain_text(f"attempt {seen} ", timeout=WITHIN_MS)
        assert int((await tried.inner_text()).split()[2]) > int(seen), "it counts"
        refunds.back()
        await says(page, "Cancelled, and refunded.")
        await assert_never_reloaded(page)


async def test_a_double_click_and_two_tabs_make_one_order(browser: Browser, tmp_path: Path) -> None:
    async with live_system(tmp_path) as system, visit(browser, system.running.url) as page:
        await fill_cart(page)
        await fill_checkout(page, "pm_card_visa")
        other = await page.context.new_page()
        await other.goto("/checkout")
        await fill_checkout(other, "pm_card_visa")
        await page.get_by_role("button", name="Order and pay").dblclick()
        # The second click aborts the navigation of the first: only where it ends counts.
        await expect(page).to_have_url(re.compile("/orders/ord_"), timeout=WITHIN_MS)
        await other.get_by_role("button", name="Order and pay").click()
        await other.wait_for_url("**/orders/ord_*")
        assert page.url == other.url
        answer = await system.call("GET", "/v1/orders", token="operator")
        assert len(answer.json()["data"]) == 1


async def test_the_broker_is_lost_while_the_page_is_open_and_the_order_goes_on_when_it_is_back(
    browser: Browser, tmp_path: Path
) -> None:
    with EmbeddedServer() as server:
        async with (
            proxy_to(server.url) as proxy,
            live_system(tmp_path, proxy.url(server.url)) as system,
            visit(browser, system.running.url) as page,
        ):
            proxy.refuse()
            proxy.cut()
            await buy(page)
            await mark(page)
            await says(page, "Thank you, we have your order.")
            await state(page, "Live")
            proxy.refuse(False)
            await says(page, "Your parcel is packed.")
            await assert_never_reloaded(page)


async def test_the_server_is_killed_while_the_page_is_open_and_the_page_goes_on_when_it_is_back(
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
        async with visit(browser, f"http://127.0.0.1:{port}") as page:
            await buy(page)
            await state(page, "Live")
            await mark(page)
            server.signal(signal.SIGKILL)
            await state(page, "Connection lost, retrying")
            server.close()
            server = await anyio.to_thread.run_sync(start)
            await state(page, "Live")
            other = await page.context.new_page()
            await other.goto(page.url)
            await other.get_by_role("link", name="Cancel order").click()
            await other.get_by_role("button", name="Cancel the order").click()
            await says(page, "Cancelled.")
            await state(page, "Complete")
            await assert_never_reloaded(page)
            await page.goto("/cart")  # the cookie of before the restart is good
            await expect(page.get_by_text("nothing in your cart")).to_be_visible()
    finally:
        server.close()


async def test_without_scripts_everything_goes_by_reloading(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        live_system(tmp_path, shipping={"auto_ship_s": 0.0}) as system,
        visit(browser, system.running.url, java_script_enabled=False) as page,
    ):
        order = await buy(page, "pm_card_declined")
        await system.wait_for(order, "payment-auth-failed")
        await page.get_by_role("link", name="Reload it").click()
        await expect(page.get_by_role("status")).to_contain_text("The payment failed.")
        await page.get_by_role("button", name="Cancel and order again").click()
        await fill_checkout(page, "pm_card_visa")
        await page.get_by_role("button", name="Order and pay").click()
        again = page.url.partition("/orders/")[2]
        await system.wait_for(again, "shipped")
        await page.get_by_role("link", name="Reload it").click()
        await expect(page.get_by_role("status")).to_contain_text("on its way")
        assert await page.locator("time").first.inner_text() != ""


async def test_every_page_is_accessible_and_as_wide_as_its_window(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        live_system(tmp_path) as system,
        visit(browser, system.running.url) as page,
    ):
        for path in EMPTY:
            await page.goto(path)
            await assert_sound(page, f"{path}, with nothing in it")
        order = await buy(page)
        await says(page, "Your parcel is packed.")
        await fill_cart(page)
        for path in [path for paths in SEEN.values() for path in paths]:
            await page.goto(path.format(order=order))
            await assert_sound(page, path)
        await page.goto("/checkout")
        await page.check("#type-card")
        await page.get_by_role("button", name="Order and pay").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        await assert_sound(page, "the checkout with errors")


async def test_what_can_be_changed_is_accessible_and_as_wide_as_its_window(
    browser: Browser, tmp_path: Path
) -> None:
    async with (
        live_system(tmp_path, payment={"hold_s": 3600.0}) as system,
        visit(browser, system.running.url) as page,
    ):
        order = await buy(page)
        await expect(page.locator("#live-hold")).to_contain_text("Payment begins in")
        await assert_sound(page, "an order that is held")
        for name in ("payment", "address", "cancel"):
            await page.goto(f"/orders/{order}/{name}")
            await assert_sound(page, f"the form to change: {name}")
        await page.get_by_role("button", name="Cancel the order").click()
        await says(page, "Cancelled.")
        await assert_sound(page, "a cancelled order")


def test_every_page_is_among_those_that_are_looked_at() -> None:
    shown = {page.id for page in PAGES if page.method == "GET" and page.document}
    assert set(SEEN) - {"not found"} == shown - {"open_link"}, "a link leads on to its order"
