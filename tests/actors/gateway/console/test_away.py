"""A console whose services cannot be reached says so, and shows what there is."""

import pytest

from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World

PLACES = ("/ops", "/ops/orders", "/ops/dead-letters", "/ops/events", "/ops/outbox", "/ops/topology")


@pytest.mark.parametrize("path", [*PLACES, "/ops/audit"])
async def test_a_page_tells_who_is_away(world: World, browser: BrowserClient, path: str) -> None:
    await browser.get(world.links.make())
    page = await browser.get(path)
    assert page.status == 200
    assert "nobody has said where" in page.text


async def test_an_order_is_shown_without_the_services_that_work_on_it(
    world: World, browser: BrowserClient
) -> None:
    order = await world.place()
    await browser.get(world.links.make())
    page = await browser.get(f"/ops/orders/{order.id}")
    assert "payment cannot be asked" in page.text
    assert "payment: unknown" in page.text
    assert "You placed the order" in page.text


async def test_what_cannot_be_done_is_said_and_keeps_what_was_typed(
    world: World, browser: BrowserClient
) -> None:
    await browser.get(world.links.make())
    form = (await browser.get("/ops/outbox")).form("/ops/outbox/flush")
    page = await browser.submit(form, reason="to see")
    assert page.status == 503
    assert "nobody has said where order-events listens" in page.text
