"""Buying in the shop as a customer does, in a window of a real browser."""

from playwright.async_api import Page

WHO = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "line1": "Invalidenstraße 116",
    "postal_code": "10115",
    "city": "Berlin",
}


async def fill_cart(page: Page) -> None:
    """Put a mug into the cart, and go to the checkout."""
    await page.goto("/")
    await page.get_by_role("button", name="Add Mug to the cart").click()
    await page.get_by_role("link", name="Checkout").click()


async def fill_checkout(page: Page, card: str) -> None:
    """Fill the form in, with this test card."""
    for name, text in WHO.items():
        await page.fill(f"#{name}", text)
    await page.check(f"input[value={card}]")


async def buy(page: Page, card: str = "pm_card_visa") -> str:
    """Buy a mug; return the order's path."""
    await fill_cart(page)
    await fill_checkout(page, card)
    await page.get_by_role("button", name="Order and pay").click()
    await page.wait_for_url("**/orders/ord_*")
    return page.url.partition("/orders/")[2]
