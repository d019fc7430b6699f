"""The cart: what is in it, what it costs, and the one form that changes it."""

import msgspec
from quart import Response

from actors.domain.values import Line, Money, total_of
from actors.gateway.catalogue import Catalogue
from actors.gateway.pages.site import Site
from actors.gateway.pages.visitor import LINES_MAX, QUANTITY_MAX, Cart
from actors.gateway.problems import not_found


class Basket(msgspec.Struct, frozen=True):
    """A cart at today's prices; None for a total where it is empty."""

    lines: tuple[Line, ...]
    total: Money | None


def basket_of(cart: Cart, catalogue: Catalogue) -> Basket:
    """Return what is in the cart. A product that is no longer sold is no longer in it."""
    known = tuple(item for item in cart.items if catalogue.get(item.sku) is not None)
    lines = catalogue.price(known, None) if known else ()
    return Basket(lines, total_of(lines) if lines else None)


class CartPages:
    """Shows and changes the visitor's cart."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._catalogue = site.gateway.catalogue

    async def show(self) -> Response:
        """Show what is in the cart."""
        visitor = self._site.visitor()
        basket = basket_of(visitor.cart, self._catalogue)
        return self._site.page("cart.html", visitor=visitor, basket=basket)

    async def change(self) -> Response:
        """Add so many of a product, or have exactly so many of it (0 takes it out).

        A quantity that is none leaves the cart as it is, and the page shows what that is.
        """
        form = await self._site.form()
        visitor, adding = self._site.visitor(), form.text("add")
        sku = adding or form.text("put")
        if self._catalogue.get(sku) is None and sku not in visitor.cart.quantities:
            raise not_found()
        cart = visitor.cart
        if adding:
            quantity = form.whole("quantity", 1, QUANTITY_MAX) if form.text("quantity") else 1
            cart = cart.add(sku, quantity or 0)
        elif (quantity := form.whole("quantity", 0, QUANTITY_MAX)) is not None:
            cart = cart.put(sku, quantity)
        assert len(cart.quantities) <= LINES_MAX, "a cart bounds itself"
        return self._site.see_other("/cart", visitor=visitor.with_cart(cart))
