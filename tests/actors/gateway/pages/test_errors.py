"""Refusals as pages: for browsers only, with the request's id and a way back."""

from pathlib import Path

import pytest

from actors.gateway.context import Limits
from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World, gateway_world


async def test_a_browser_gets_a_page_and_a_client_a_problem(
    world: World, browser: BrowserClient
) -> None:
    page = await browser.get("/nowhere")
    assert page.status == 404
    assert page.response.header("request-id") in page.text
    assert page.link("To the shop") == "/"
    assert page.link("Find my order") == "/orders/find"
    answer = await world.call("GET", "/nowhere")
    assert (answer.status, answer.slug) == (404, "not-found")
    as_browser = {"Accept": "text/html"}
    api = await world.call("GET", "/v1/products/NO-1", headers=as_browser)
    assert (api.status, api.slug) == (404, "not-found")


async def test_a_page_repeats_nothing_of_what_was_typed(browser: BrowserClient) -> None:
    page = await browser.get("/products/%3Cscript%3Ealert(1)%3C/script%3E4242424242424242")
    assert page.status == 404
    assert "4242" not in page.response.body.decode()
    assert "alert" not in page.response.body.decode()


async def test_a_browser_that_is_not_let_in_gets_a_page_too(tmp_path: Path) -> None:
    async with gateway_world(tmp_path, limits=Limits(requests_max=0)) as world:
        page = await world.browser().get("/")
        assert (page.status, page.title) == (503, "We cannot answer right now")
        assert page.response.header("request-id") in page.text
        assert page.link("To the shop") == "/"
        assert page.response.header("retry-after") == "1"
        assert page.response.header("set-cookie") == ""
        (sheet,) = page.root.all("link")
        answer = await world.call("GET", "/")
        assert (answer.status, answer.slug) == (503, "overloaded")
    async with gateway_world(tmp_path) as world:
        styled = await world.call("GET", sheet.attributes["href"])
        assert (styled.status, styled.headers["Content-Type"]) == (200, "text/css; charset=utf-8")
        assert "immutable" in styled.headers["Cache-Control"], "its address has its version"


@pytest.mark.parametrize("public_url", ["", "https://shop.example"])
async def test_cookies_go_over_tls_only_where_the_shop_does(
    tmp_path: Path, public_url: str
) -> None:
    async with gateway_world(tmp_path, public_url=public_url) as world:
        browser = world.browser()
        await browser.get("/")
        assert ("Secure" in browser.set_cookies[0].split("; ")) is bool(public_url)


async def test_a_bug_is_a_page_that_tells_nothing_of_it(
    world: World, browser: BrowserClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    form = (await browser.get("/products/MUG-1")).form("/cart")

    def broken(*_: object) -> None:
        raise RuntimeError("the inside of the shop")

    monkeypatch.setattr("actors.gateway.pages.visitor.Cart.add", broken)
    page = await browser.submit(form)
    assert page.status == 500
    assert page.response.header("request-id") in page.text
    assert "inside" not in page.text
    assert "carried out once" in page.text
    (line,) = world.log
    assert '"route":"/cart"' in line
