"""An order's page: for whoever has its link, and for nobody else."""

import re

import pytest

from actors.gateway.auth import Authority
from actors.gateway.context import Limits
from actors.gateway.pages import order as order_page
from tests.harness.browser_client import BrowserClient, Page
from tests.harness.gateway import OPERATOR, PAID, PREPARED, SECRET, World
from tests.harness.shopping import Shopper, order_id_of


def link_of(page: Page) -> str:
    return page.root.one("input", id="order-link").attributes["value"].partition("localhost")[2]


async def test_the_page_shows_what_was_ordered_and_what_happened(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    await world.advance(order_id_of(page), *PREPARED)
    page = await browser.get(page.path)
    timeline = page.root.one("ol", class_="timeline").all("li")
    assert [row.one("p").text for row in timeline] == [
        "You placed the order.",
        "Payment began. The card can no longer be changed.",
        "48.90 EUR were paid.",
        "We began to pack. Address and order can no longer be changed.",
        "The parcel is packed and waits for the carrier.",
    ]
    assert "payment-captured/v1" in timeline[2].one("details").text
    assert page.root.one("div", role="status").attributes["aria-live"] == "polite"
    steps = page.root.one("ol", class_="steps").all("li")
    assert ["Prepared" in step.text for step in steps] == [False, False, True, False]
    assert page.root.all("a", aria_disabled="true")


async def test_a_history_that_is_too_long_says_what_is_left_out(
    world: World, browser: BrowserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(order_page, "EVENTS_MAX", 3)
    page = await Shopper(browser).order()
    assert "not shown any more" not in page.text
    await world.advance(order_id_of(page), *PREPARED)
    page = await browser.get(page.path)
    assert "The first 2 things that happened are not shown any more." in page.text
    assert len(page.root.one("ol", class_="timeline").all("li")) == 3


async def test_an_action_that_is_not_allowed_says_why_and_leads_nowhere(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    assert [page.link(text) for text in ("Change card", "Change address", "Cancel order")] == [
        f"{page.path}/{name}" for name in ("payment", "address", "cancel")
    ]
    await world.advance(order_id_of(page), *PAID)
    page = await browser.get(page.path)
    (locked,) = page.root.all("a", aria_disabled="true")
    assert "href" not in locked.attributes
    why = page.root.one("p", id=locked.attributes["aria-describedby"])
    assert "Payment began" in why.text


async def test_the_link_opens_the_order_in_another_browser_and_is_gone_at_once(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    other = world.browser()
    opened = await other.request("GET", link_of(page))
    assert (opened.status, opened.header("location")) == (303, page.path)
    assert opened.header("referrer-policy") == "no-referrer"
    (cookie,) = other.set_cookies
    assert {"HttpOnly", "SameSite=Lax", f"Path={page.path}"} <= set(cookie.split("; "))
    shown = await other.get(page.path)
    assert shown.title == page.title
    assert "edit." not in shown.path


async def test_without_its_link_an_order_is_one_that_does_not_exist(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    stranger = world.browser()
    order_id = order_id_of(page)
    nothing = "ord_" + "0" * 26
    for path in ("", "/payment", "/address", "/cancel", "/events/stream"):
        answers = [await stranger.request("GET", f"/orders/{i}{path}") for i in (order_id, nothing)]
        bodies = [re.sub(rb"req_\w+", b"", answer.body) for answer in answers]
        assert [answer.status for answer in answers] == [404, 404]
        assert bodies[0] == bodies[1]


async def test_a_link_that_is_not_the_orders_opens_nothing(
    world: World, browser: BrowserClient
) -> None:
    page, other = await Shopper(browser).order(), await Shopper(world.browser()).order()
    order_id, token = order_id_of(page), link_of(other).partition(".")[2]
    operator = OPERATOR["Authorization"].split()[1]
    for link in (f"{order_id}.{token}", order_id, "x", "x.y", "%ff", f"{order_id}."):
        answer = await world.browser().request("GET", f"/o/{link}")
        assert answer.status == 404, link
        assert answer.header("set-cookie").startswith("visitor=")
    answer = await world.browser().request("GET", f"/o/{order_id}.{operator}")
    assert answer.status == 401


async def test_a_link_that_has_expired_says_so(world: World, browser: BrowserClient) -> None:
    page = await Shopper(browser).order()
    link = link_of(page)
    world.clock.now_s += Limits().token_ttl_s + 1
    expired = await world.browser().get(link)
    assert expired.status == 401
    assert "expired" in expired.text
    assert expired.link("Find my order") == "/orders/find"


async def test_a_link_to_look_shows_everything_and_offers_nothing(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    order_id = order_id_of(page)
    order = await world.parts.client("gateway").order(order_id)
    authority = Authority(
        secret=SECRET,
        operator_token="",
        viewer_token="",
        ttl_s=Limits().token_ttl_s,
        wall=world.clock.wall,
    )
    token = authority.access_token(order_id, order.created_at_ms, "read")
    looker = world.browser()
    shown = await looker.get(f"/o/{order_id}.{token}")
    assert shown.root.all("input", id="order-link") == []
    assert len(shown.root.all("a", aria_disabled="true")) == 3
    form = await looker.get(f"{page.path}/cancel")
    assert (await looker.submit(form.form(f"{page.path}/cancel"))).status == 403
    assert not (await world.parts.client("gateway").order(order_id)).cancelled


async def test_the_live_events_are_those_of_the_api(world: World, browser: BrowserClient) -> None:
    page = await Shopper(browser).order()
    order_id = order_id_of(page)
    root = page.root.one("div", class_="columns").attributes
    assert (root["data-version"], root["data-settled"]) == ("1", "false")
    await browser.submit((await browser.get(f"{page.path}/cancel")).form(f"{page.path}/cancel"))
    stream = await browser.request("GET", f"{root['data-stream']}?after=1")
    assert stream.header("content-type") == "text/event-stream"
    assert b"id: 2\nevent: order.event\n" in stream.body
    assert stream.body.endswith(b"event: complete\ndata: {}\n\n")
    settled = (await browser.get(f"/orders/{order_id}")).root.one("div", class_="columns")
    assert settled.attributes["data-settled"] == "true"


async def test_a_stream_is_counted_by_its_template(world: World, browser: BrowserClient) -> None:
    page = await Shopper(browser).order()
    assert 'route="/orders/{order_id}"' in world.metrics()
    assert order_id_of(page) not in world.metrics()
    await world.browser().request("GET", link_of(page))
    assert 'route="/o/{link}"' in world.metrics()
    assert link_of(page) not in world.metrics()
    assert world.log == []


async def test_the_page_of_an_erased_order_still_tells_what_happened(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    await browser.submit((await browser.get(f"{page.path}/cancel")).form(f"{page.path}/cancel"))
    await world.parts.client("gateway").erase(order_id_of(page))
    erased = await browser.get(page.path)
    assert erased.status == 200
    assert "The address was erased." in erased.text
    assert "ada" not in erased.root.one("section", id="live-facts").text.lower()
    assert "You cancelled the order." in erased.text
