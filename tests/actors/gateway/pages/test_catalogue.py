"""The catalogue's pages, and what every page is like."""

from importlib.resources import files

import pytest

from actors.gateway.catalogue import built_in_catalogue
from actors.gateway.pages.routes import PAGES
from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World

PRODUCTS = list(built_in_catalogue())


async def test_everything_is_shown_with_a_picture_of_its_own_and_a_price(
    browser: BrowserClient,
) -> None:
    page = await browser.get("/")
    cards = page.root.all("li", class_="card")
    assert [card.one("h2").text for card in cards] == [product.name for product in PRODUCTS]
    assert cards[0].one("span", class_="price").text == "14.50 EUR"
    pictures = [card.one("img").attributes["src"] for card in cards]
    assert len(set(pictures)) == len(PRODUCTS)
    assert not any("parcel" in picture for picture in pictures)
    for picture in pictures:
        response = await browser.request("GET", picture)
        assert (response.status, response.header("content-type")) == (200, "image/svg+xml")


async def test_a_product_has_a_page_and_an_unknown_one_a_way_back(browser: BrowserClient) -> None:
    page = await browser.get((await browser.get("/")).link("Teapot"))
    assert page.title == "Teapot"
    missing = await browser.get("/products/NO-1")
    assert missing.status == 404
    assert missing.link("To the shop") == "/"


async def test_a_page_asks_nobody_else_for_anything_and_has_no_inline_script_or_style(
    browser: BrowserClient,
) -> None:
    page = await browser.get("/")
    for found in page.root.walk():
        for name in ("src", "href", "action"):
            assert found.attributes.get(name, "/").startswith(("/", "#")), found
        assert not {"style"} & set(found.attributes), found
        assert not any(name.startswith("on") for name in found.attributes), found
        assert found.tag != "style"
        assert found.tag != "script" or found.text == ""


async def test_static_files_are_kept_for_ever_under_their_hash_only(
    browser: BrowserClient,
) -> None:
    page = await browser.get("/")
    sheet = page.root.one("link", rel="stylesheet").attributes["href"]
    hashed = await browser.request("GET", sheet)
    assert hashed.header("cache-control") == "public, max-age=31536000, immutable"
    bare = await browser.request("GET", sheet.partition("?")[0])
    assert bare.header("cache-control") == "no-cache"
    again = await browser.request("GET", sheet, if_none_match=hashed.header("etag"))
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("name", ["nothing.css", "../site.py", "%2e%2e/site.py", "products"])
async def test_nothing_else_is_a_static_file(world: World, name: str) -> None:
    assert (await world.call("GET", f"/static/{name}")).status == 404


def test_the_script_is_small() -> None:
    script = files("actors.gateway.pages").joinpath("static/site.js").read_bytes()
    assert len(script) <= 10 * 1024


async def test_a_page_is_never_cached_and_its_cookie_is_for_the_server_only(
    browser: BrowserClient,
) -> None:
    page = await browser.get("/")
    assert page.response.header("cache-control") == "no-store"
    (cookie,) = browser.set_cookies
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(cookie.split("; "))
    assert "Secure" not in cookie.split("; ")
    await browser.get("/")
    assert len(browser.set_cookies) == 1


async def test_pages_and_operations_do_not_share_a_name(world: World) -> None:
    ids = [page.id for page in PAGES]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= {rule.endpoint for rule in world.app.url_map.iter_rules()}
