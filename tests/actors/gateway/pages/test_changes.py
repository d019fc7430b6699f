"""Changing an order on its pages: allowed, refused with what changed, and never done twice."""

import pytest

from tests.harness.browser_client import BrowserClient, Page
from tests.harness.gateway import PAID, PREPARED, World
from tests.harness.shopping import Shopper, order_id_of

FORMS = ("payment", "address", "cancel")


async def opened(browser: BrowserClient, page: Page, name: str) -> Page:
    return await browser.get(f"{page.path}/{name}")


async def types(world: World, page: Page) -> list[str]:
    events = await world.parts.client("gateway").events(order_id_of(page))
    return [event.type.name for event in events]


async def test_another_card_is_what_will_be_paid_with(world: World, browser: BrowserClient) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, "payment")).form(f"{page.path}/payment")
    changed = await browser.submit(form, token="pm_card_declined")
    assert changed.path == page.path
    assert "Visa ending in 0002" in changed.text
    assert await types(world, page) == ["order-created", "payment-updated"]


async def test_another_address_is_filled_in_with_the_old_one_and_kept(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, "address")).form(f"{page.path}/address")
    assert form.fields["line1"] == "12 St James's Square"
    refused = await browser.submit(form, city="", line2="Second floor")
    assert (refused.status, list(refused.errors())) == (422, ["city"])
    form = refused.form(f"{page.path}/address")
    assert form.fields["line2"] == "Second floor"
    changed = await browser.submit(form, city="Oxford")
    assert "Oxford" in changed.root.one("address").text
    assert await types(world, page) == ["order-created", "shipping-address-updated"]


async def test_cancelling_says_what_it_means_and_does_it_once(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    assert "Nothing was charged" in (await opened(browser, page, "cancel")).text
    await world.advance(order_id_of(page), *PAID)
    asked = await opened(browser, page, "cancel")
    assert "48.90 EUR go back to your Visa ending in 4242" in asked.text
    form = asked.form(f"{page.path}/cancel")
    for _ in range(2):
        cancelled = await browser.submit(form, reason="changed my mind")
        assert cancelled.path == page.path
        assert "Your refund is on its way" in cancelled.text
        assert "changed my mind" in cancelled.text
    assert (await types(world, page)).count("order-cancelled") == 1


@pytest.mark.parametrize("name", FORMS)
async def test_a_form_that_was_overtaken_comes_back_with_what_happened(
    world: World, browser: BrowserClient, name: str
) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, name)).form(f"{page.path}/{name}")
    other = (await opened(browser, page, "address")).form(f"{page.path}/address")
    await browser.submit(other, city="Oxford")
    overtaken = await browser.submit(form, reason="too slow", city="Paris", token="pm_card_cvc")
    assert overtaken.status == 412
    assert "You changed the delivery address." in overtaken.root.one("div", role="alert").text
    again = overtaken.form(f"{page.path}/{name}")
    typed = {"payment": ("token", "pm_card_cvc"), "address": ("city", "Paris")}
    field, text = typed.get(name, ("reason", "too slow"))
    assert again.fields[field] == text
    assert (again.fields["version"], form.fields["version"]) == ("2", "1")
    assert (await browser.submit(again)).path == page.path


async def test_a_form_that_is_sent_again_with_something_else_in_it_comes_back(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, "address")).form(f"{page.path}/address")
    await browser.submit(form, city="Oxford")
    back = await browser.submit(form, city="Paris")
    assert back.status == 412
    assert "You changed the delivery address." in back.root.one("div", role="alert").text
    assert back.form(f"{page.path}/address").fields["city"] == "Paris"
    assert await types(world, page) == ["order-created", "shipping-address-updated"]


@pytest.mark.parametrize("name", FORMS)
async def test_a_form_that_came_too_late_says_why_and_since_when(
    world: World, browser: BrowserClient, name: str
) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, name)).form(f"{page.path}/{name}")
    await world.advance(order_id_of(page), *PREPARED)
    before = await types(world, page)
    late = await browser.submit(form, reason="late", city="Paris")
    assert late.status == 409
    assert "can no longer be changed" in late.text
    assert "We began to pack" in late.text or "Payment began" in late.text
    assert late.root.all("form") == []
    assert late.link("Back to the order") == page.path
    direct = await opened(browser, page, name)
    assert (direct.status, direct.root.all("form")) == (409, [])
    assert await types(world, page) == before


@pytest.mark.parametrize("name", FORMS)
async def test_a_form_needs_its_token_its_cookie_and_a_version(
    world: World, browser: BrowserClient, name: str
) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, name)).form(f"{page.path}/{name}")
    assert (await browser.submit(form, csrf="x")).status == 403
    assert (await browser.submit(form, version="0")).status == 428
    stranger = world.browser()
    token = (await stranger.get("/products/MUG-1")).form("/cart").fields["csrf"]
    assert (await stranger.submit(form, csrf=token)).status == 404
    assert await types(world, page) == ["order-created"]


async def test_a_card_that_is_refused_is_said_beside_its_field(browser: BrowserClient) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, "payment")).form(f"{page.path}/payment")
    typed = {"token": "card", "number": "4242424242424241", "expiry": "12/99", "cvc": "123"}
    refused = await browser.submit(form, **typed)
    assert (refused.status, list(refused.errors())) == (422, ["number"])
    assert refused.form(f"{page.path}/payment").fields["number"] == ""


async def test_a_reason_must_be_a_text(browser: BrowserClient) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, "cancel")).form(f"{page.path}/cancel")
    refused = await browser.submit(form, reason="x" * 201)
    assert (refused.status, list(refused.errors())) == (422, ["reason"])


async def test_after_a_failed_payment_one_cancels_and_orders_the_same_again(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    await world.advance(order_id_of(page), "payment-auth-in-progress", "payment-auth-failed")
    failed = await browser.get(page.path)
    assert "The payment failed." in failed.text
    again = await browser.submit(failed.form(f"{page.path}/again"))
    assert again.path == "/checkout"
    assert "48.90 EUR" in again.text
    assert (await types(world, page))[-1] == "order-cancelled"
    cancelled = await browser.get(page.path)
    once_more = await browser.submit(cancelled.form(f"{page.path}/again"))
    assert once_more.path == "/checkout"
    assert (await types(world, page)).count("order-cancelled") == 1


async def test_an_order_that_goes_on_is_not_cancelled_by_ordering_again(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    form = (await opened(browser, page, "cancel")).form(f"{page.path}/cancel")
    form.action = f"{page.path}/again"
    assert (await browser.submit(form)).path == page.path
    assert await types(world, page) == ["order-created"]
