"""The cart: filled, changed and emptied by forms, and kept by the browser alone."""

from pathlib import Path

from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import gateway_world
from tests.harness.shopping import Shopper


async def test_what_is_added_is_in_the_cart_with_its_total(browser: BrowserClient) -> None:
    shopper = Shopper(browser)
    await shopper.put("MUG-1", 2)
    page = await shopper.put("TEA-1")
    assert page.path == "/cart"
    lines = page.root.all("li", class_="cart-line")
    assert [line.one("span", class_="sum").text for line in lines] == ["29.00 EUR", "19.90 EUR"]
    assert page.root.one("p", class_="total").text == "Total 48.90 EUR"
    assert page.root.one("b", class_="count").text == "3 in it"


async def test_a_quantity_is_changed_and_zero_takes_the_product_out(browser: BrowserClient) -> None:
    page = await Shopper(browser).put("MUG-1", 2)
    page = await browser.submit(page.form("/cart"), quantity="3")
    assert "43.50 EUR" in page.text
    page = await browser.submit(page.form("/cart"), quantity="0")
    assert page.link("Look around") == "/"


async def test_a_quantity_that_is_none_changes_nothing(browser: BrowserClient) -> None:
    page = await Shopper(browser).put("MUG-1", 2)
    for quantity in ("", "-1", "100", "1.5", "many", "²", "9" * 30):
        page = await browser.submit(page.form("/cart"), quantity=quantity)
        assert "29.00 EUR" in page.text


async def test_there_is_no_putting_in_what_is_not_sold(browser: BrowserClient) -> None:
    page = await browser.get("/products/MUG-1")
    assert (await browser.submit(page.form("/cart"), add="NO-1")).status == 404


async def test_a_form_without_its_visitors_token_changes_nothing(browser: BrowserClient) -> None:
    page = await browser.get("/products/MUG-1")
    for token in ("", "x", "é", page.form("/cart").fields["csrf"][::-1]):
        refused = await browser.submit(page.form("/cart"), csrf=token)
        assert refused.status == 403
        assert "Nothing was changed" in refused.text
    cart = await browser.get("/cart")
    assert cart.root.all("li", class_="cart-line") == []


async def test_another_visitors_token_is_not_ones_own(browser: BrowserClient) -> None:
    form = (await browser.get("/products/MUG-1")).form("/cart")
    other = BrowserClient(browser.send)
    await other.get("/")
    assert (await other.submit(form)).status == 403
    nobody = BrowserClient(browser.send)
    assert (await nobody.submit(form)).status == 403


async def test_a_form_that_another_site_sends_is_refused(browser: BrowserClient) -> None:
    form = (await browser.get("/products/MUG-1")).form("/cart")
    body = browser.encoded(form)
    for status, headers in (
        (403, {"sec_fetch_site": "cross-site"}),
        (403, {"sec_fetch_site": "same-site"}),
        (403, {"origin": "https://evil.example"}),
        (303, {"sec_fetch_site": "same-origin", "origin": "null"}),
        (303, {"origin": "http://localhost"}),
        (303, {"origin": "null"}),
    ):
        response = await browser.request("POST", "/cart", body, **headers)
        assert response.status == status, headers


async def test_only_a_form_is_read_as_one(browser: BrowserClient) -> None:
    form = (await browser.get("/products/MUG-1")).form("/cart")
    body = browser.encoded(form)
    for content_type, sent, status in (
        ("application/json", body, 415),
        ("multipart/form-data; boundary=x", body, 415),
        ("application/x-www-form-urlencoded", b"add=%ff", 400),
        ("application/x-www-form-urlencoded", b"\xff=1", 400),
        ("application/x-www-form-urlencoded", b"a=1&" * 500, 400),
        ("application/x-www-form-urlencoded", b"a=" + b"1" * 70_000, 413),
    ):
        response = await browser.request("POST", "/cart", sent, content_type=content_type)
        assert response.status == status, (content_type, sent[:20])


async def test_a_cart_survives_a_restart_and_a_cookie_that_was_tampered_with_does_not(
    tmp_path: Path,
) -> None:
    async with gateway_world(tmp_path / "one") as before:
        browser = before.browser()
        await Shopper(browser).put("POT-1")
    async with gateway_world(tmp_path / "two") as after:
        again = after.browser()
        again.cookies = browser.cookies
        assert "59.00 EUR" in (await again.get("/cart")).text
        cookie = again.cookies[("visitor", "/")]
        cookie.value = cookie.value.replace(".", "A.")
        assert "nothing in your cart" in (await again.get("/cart")).text
