"""A shopper at a browser without scripts: what it takes to get an order placed."""

from dataclasses import dataclass

from tests.harness.browser_client import BrowserClient, Page

WHO = {
    "email": "ada@example.org",
    "name": "Ada Lovelace",
    "line1": "12 St James's Square",
    "postal_code": "SW1Y 4JH",
    "city": "London",
    "country": "GB",
}


@dataclass
class Shopper:
    """Somebody with a browser."""

    browser: BrowserClient

    async def put(self, sku: str, quantity: int = 1) -> Page:
        """Put something into the cart; return the cart's page."""
        product = await self.browser.get(f"/products/{sku}")
        return await self.browser.submit(product.form("/cart"), quantity=str(quantity))

    async def checkout(self, *, card: str = "pm_card_visa") -> tuple[Page, dict[str, str]]:
        """Return the checkout's page and what goes into its form, with a mug and tea in it."""
        await self.put("MUG-1", 2)
        await self.put("TEA-1")
        return await self.browser.get("/checkout"), {**WHO, "token": card}

    async def order(self, *, card: str = "pm_card_visa") -> Page:
        """Place an order; return its page."""
        page, fields = await self.checkout(card=card)
        placed = await self.browser.submit(page.form("/checkout"), **fields)
        assert placed.path.startswith("/orders/ord_"), placed.text
        return placed


def order_id_of(page: Page) -> str:
    """Return the id of the order whose page this is."""
    return page.path.split("/")[2]
