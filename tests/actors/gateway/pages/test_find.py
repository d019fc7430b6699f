"""Finding an order again: the link is mailed, and nobody is told whether there is one."""

import re
from pathlib import Path

import pytest

from actors.gateway.context import Limits
from runtime.errors import Unavailable
from tests.harness.browser_client import BrowserClient, Page
from tests.harness.gateway import World, gateway_world
from tests.harness.shopping import WHO, Shopper
from tests.harness.waiting import eventually


async def asked(browser: BrowserClient, number: str, email: str) -> Page:
    page = await browser.get("/orders/find")
    return await browser.submit(page.form("/orders/find"), number=number, email=email)


async def mails(world: World) -> list[str]:
    return [mail.text for mail in await world.correspondence.mailbox(10) or ()]


async def test_the_link_is_mailed_and_opens_the_order(world: World, browser: BrowserClient) -> None:
    order = await Shopper(browser).order()
    other = world.browser()
    answer = await asked(other, "1001", WHO["email"].upper())
    assert answer.title == "Look into your mail"
    await eventually(lambda: mailed(world, 1))
    (text,) = await mails(world)
    (link,) = re.findall(r"http://localhost(/o/\S+)", text)
    assert (await other.get(link)).title == order.title


async def mailed(world: World, count: int) -> bool:
    return len(await mails(world)) >= count


async def test_a_hit_and_a_miss_are_answered_alike(world: World, browser: BrowserClient) -> None:
    await Shopper(browser).order()
    bodies = set()
    for number, email in (
        ("1001", WHO["email"]),
        ("1001", "eve@example.org"),
        ("9999", WHO["email"]),
    ):
        other = world.browser()
        page = await asked(other, number, email)
        assert (page.status, page.path) == (200, "/orders/find?asked=1")
        bodies.add(re.sub(rb"req_\w+", b"", page.response.body))
    assert len(bodies) == 1
    await eventually(lambda: mailed(world, 1))
    assert len(await mails(world)) == 1


async def test_asked_twice_within_ten_minutes_there_is_one_mail(
    world: World, browser: BrowserClient
) -> None:
    await Shopper(browser).order()
    await asked(browser, "1001", WHO["email"])
    await asked(browser, "1001", WHO["email"])
    await eventually(lambda: mailed(world, 1))
    world.clock.now_s += 600
    await asked(browser, "1001", WHO["email"])
    await eventually(lambda: mailed(world, 2))
    assert len(await mails(world)) == 2


async def test_the_link_leads_to_the_shop_whatever_place_the_request_names(
    world: World, browser: BrowserClient
) -> None:
    await Shopper(browser).order()
    form = (await browser.get("/orders/find")).form("/orders/find")
    body = browser.encoded(form, number="1001", email=WHO["email"])
    sent = await browser.request("POST", "/orders/find", body, host="evil.example")
    assert sent.status == 303
    await eventually(lambda: mailed(world, 1))
    (text,) = await mails(world)
    assert "evil" not in text
    assert "http://localhost/o/ord_" in text


async def test_what_is_missing_is_said_beside_its_field(browser: BrowserClient) -> None:
    for number, email, wrong in (
        ("", "", ["number", "email"]),
        ("abc", WHO["email"], ["number"]),
        ("1001", "ada@", ["email"]),
    ):
        page = await asked(browser, number, email)
        assert (page.status, list(page.errors())) == (422, wrong)


async def test_orders_of_this_browser_are_listed(browser: BrowserClient) -> None:
    order = await Shopper(browser).order()
    page = await browser.get("/orders/find")
    assert page.link("Order 1001") == order.path


async def test_guessing_is_slowed_down(tmp_path: Path) -> None:
    async with gateway_world(tmp_path, limits=Limits(rate_per_min=2)) as world:
        browser = world.browser()
        statuses = [(await asked(browser, "1", "ada@example.org")).status for _ in range(3)]
        assert statuses == [200, 200, 429]


async def test_while_nothing_can_be_looked_up_that_is_said(
    world: World, browser: BrowserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = (await browser.get("/orders/find")).form("/orders/find")

    async def away(*_: object) -> object:
        raise Unavailable("away")

    monkeypatch.setattr("actors.order_events.client.LocalOrderEvents.orders", away)
    page = await browser.submit(form, number="1001", email=WHO["email"])
    assert page.status == 503
    assert "cannot answer right now" in page.text
    assert page.response.header("retry-after") == "1"
