"""The checkout: every mistake beside its field, and one order for one state of the cart."""

from pathlib import Path

import pytest

from tests.harness.browser_client import BrowserClient
from tests.harness.gateway import World, gateway_world
from tests.harness.shopping import WHO, Shopper, order_id_of


async def orders(world: World) -> int:
    return len(await world.parts.client("gateway").all_events(limit=100))


async def test_an_order_is_placed_and_its_page_is_where_one_ends_up(
    world: World, browser: BrowserClient
) -> None:
    page = await Shopper(browser).order()
    assert page.status == 200
    order = await world.parts.client("gateway").order(order_id_of(page))
    assert order.total.amount == 4890
    personal = await world.parts.client("notification").personal(order.id, order.customer_ref)
    assert personal.customer is not None
    assert (personal.customer.name, personal.customer.email) == (WHO["name"], WHO["email"])
    for words in ("Order 1001", "48.90 EUR", "Visa ending in 4242", "London", "United Kingdom"):
        assert words in page.text
    assert (await browser.get("/cart")).root.all("li", class_="cart-line") == []


async def test_a_typed_card_number_is_taken_and_never_comes_back(
    world: World, browser: BrowserClient
) -> None:
    page, fields = await Shopper(browser).checkout(card="card")
    typed = {"number": "4000-00000000-0002", "expiry": "12/99", "cvc": "987"}
    refused = await browser.submit(page.form("/checkout"), **{**fields, **typed, "email": ""})
    assert set(refused.errors()) == {"email"}
    for secret in ("4000-0000", "4000000000000002", "987"):
        assert secret not in refused.response.body.decode()
    assert refused.form("/checkout").fields["expiry"] == "12/99"
    placed = await browser.submit(refused.form("/checkout"), **{**fields, **typed})
    assert "Visa ending in 0002" in placed.text


async def test_everything_that_is_wrong_is_said_at_once_beside_its_field_and_on_top(
    browser: BrowserClient,
) -> None:
    page, _ = await Shopper(browser).checkout()
    empty = dict.fromkeys(("email", "name", "line1", "postal_code", "city"), "")
    refused = await browser.submit(page.form("/checkout"), **empty, token="card")
    assert refused.status == 422
    expected = [*empty, "number", "expiry", "cvc"]
    assert list(refused.errors()) == expected
    summary = refused.root.one("div", role="alert")
    assert [row.attributes["href"] for row in summary.all("a")] == [f"#{n}" for n in expected]
    for name in expected:
        field = refused.root.one("input", id=name)
        assert field.attributes["aria-invalid"] == "true"
        assert f"{name}-error" in field.attributes["aria-describedby"].split()


@pytest.mark.parametrize(
    ("field", "text", "said"),
    [
        ("email", "ada@", "must be exactly one e-mail address"),
        ("name", "a\u202eb", "must not hold control"),
        ("line1", "x" * 121, "must have 120 characters at most"),
        ("city", "4242424242424242", "must not hold a payment card number"),
        ("country", "XX", "must be an ISO 3166-1"),
        ("token", "pm_nope", "Choose one of the cards"),
        ("token", "<b>", "Choose one of the cards"),
    ],
)
async def test_a_field_says_what_is_wrong_with_it_and_keeps_what_was_typed(
    world: World, browser: BrowserClient, field: str, text: str, said: str
) -> None:
    page, fields = await Shopper(browser).checkout()
    refused = await browser.submit(page.form("/checkout"), **{**fields, field: text})
    assert (refused.status, list(refused.errors())) == (422, [field])
    assert said in refused.errors()[field]
    assert refused.form("/checkout").fields["postal_code"] == WHO["postal_code"]
    assert "4242424242424242" not in refused.response.body.decode()
    assert await orders(world) == 0


@pytest.mark.parametrize(
    ("typed", "field", "said"),
    [
        ({"number": "4242 4242 4242 4241"}, "number", "typing error"),
        ({"number": "4111 1111 1111 1111"}, "number", "not a test card"),
        ({"expiry": "01/20"}, "expiry", "expired"),
        ({"expiry": "13/30"}, "expiry", "month and year"),
        ({"expiry": "soon"}, "expiry", "month and year"),
        ({"cvc": "12"}, "cvc", "three or four digits"),
    ],
)
async def test_a_card_that_cannot_be_paid_with_says_why(
    browser: BrowserClient, typed: dict[str, str], field: str, said: str
) -> None:
    page, fields = await Shopper(browser).checkout(card="card")
    card = {"number": "4242424242424242", "expiry": "12/2099", "cvc": "123", **typed}
    refused = await browser.submit(page.form("/checkout"), **fields, **card)
    assert (refused.status, list(refused.errors())) == (422, [field])
    assert said in refused.errors()[field]


async def test_the_same_form_twice_or_in_two_tabs_is_one_order(
    world: World, browser: BrowserClient
) -> None:
    page, fields = await Shopper(browser).checkout()
    other_tab = await browser.get("/checkout")
    first = await browser.submit(page.form("/checkout"), **fields)
    again = await browser.submit(page.form("/checkout"), **fields)
    other = await browser.submit(other_tab.form("/checkout"), **fields)
    assert first.path == again.path == other.path
    assert await orders(world) == 1


async def test_a_changed_form_for_a_cart_that_was_ordered_leads_to_that_order(
    world: World, browser: BrowserClient
) -> None:
    page, fields = await Shopper(browser).checkout()
    first = await browser.submit(page.form("/checkout"), **fields)
    other = await browser.submit(page.form("/checkout"), **{**fields, "city": "Paris"})
    assert other.path == first.path
    assert await orders(world) == 1


async def test_two_tabs_order_what_each_of_them_has_shown(
    world: World, browser: BrowserClient
) -> None:
    page, fields = await Shopper(browser).checkout()
    await Shopper(browser).put("POT-1")
    first = await browser.submit(page.form("/checkout"), **fields)
    assert "48.90 EUR" in first.text
    assert "Teapot" in (await browser.get("/cart")).text


async def test_a_price_that_has_changed_is_shown_before_it_is_ordered(
    world: World, browser: BrowserClient
) -> None:
    page, fields = await Shopper(browser).checkout()
    refused = await browser.submit(page.form("/checkout"), **{**fields, "total": "100"})
    assert refused.status == 422
    assert "Prices have changed" in refused.root.one("div", role="alert").text
    assert refused.form("/checkout").fields["total"] == "4890"
    assert await orders(world) == 0


async def test_a_cart_that_was_tampered_with_is_not_ordered(
    world: World, browser: BrowserClient
) -> None:
    page, fields = await Shopper(browser).checkout()
    back = await browser.submit(page.form("/checkout"), **{**fields, "cart": "x.y"})
    assert back.path == "/cart"
    assert (await browser.get("/cart")).root.one("p", class_="total").text == "Total 48.90 EUR"
    assert await orders(world) == 0


async def test_an_empty_cart_has_no_checkout(browser: BrowserClient) -> None:
    assert (await browser.get("/checkout")).path == "/cart"


async def test_without_test_mode_there_are_no_test_cards(tmp_path: Path) -> None:

    async with gateway_world(tmp_path, mode="live") as world:
        page, _ = await Shopper(world.browser()).checkout()
        assert page.root.all("label", class_="chip") == []
        assert page.root.one("input", id="number")
        assert "Test shop" not in page.text


async def test_what_shoppers_type_is_text_wherever_it_is_shown(browser: BrowserClient) -> None:
    page, fields = await Shopper(browser).checkout()
    evil = "<script>alert(1)</script>\"'&lt;"
    refused = await browser.submit(page.form("/checkout"), **{**fields, "line1": evil, "email": ""})
    assert refused.form("/checkout").fields["line1"] == evil
    placed = await browser.submit(refused.form("/checkout"), **{**fields, "line1": evil})
    assert evil in placed.root.one("address").text
    assert [found.text for found in placed.root.all("script")] == [""]
