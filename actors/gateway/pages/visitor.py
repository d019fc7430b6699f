"""What a browser keeps of its visitor: a cart, and which orders were placed from here.

A cart has an id and a version, which each change raises: together they name what was in it, so an
order placed twice from the same state is one order. Everything is in a signed cookie, so it
survives any restart, and nothing is stored for visitors who never order.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

from actors.domain.values import Quantity, Sku
from actors.gateway.requests import Item

LINES_MAX = 50
QUANTITY_MAX = 99
RECENT_MAX = 5


class Cart(msgspec.Struct, frozen=True):
    """How many of each product, in the order in which they were put in."""

    id: str
    version: int = 0
    quantities: Annotated[dict[Sku, Quantity], Meta(max_length=LINES_MAX)] = {}

    @property
    def key(self) -> str:
        """The idempotency key of an order of what is in the cart now."""
        return f"cart-{self.id}-{self.version}"

    @property
    def count(self) -> int:
        """How many pieces are in it."""
        return sum(self.quantities.values())

    @property
    def items(self) -> tuple[Item, ...]:
        """What an order of it asks for."""
        return tuple(Item(sku, quantity) for sku, quantity in self.quantities.items())

    def add(self, sku: str, quantity: int) -> "Cart":
        """Put in more of a product, `QUANTITY_MAX` at most."""
        return self.put(sku, min(self.quantities.get(sku, 0) + quantity, QUANTITY_MAX))

    def put(self, sku: str, quantity: int) -> "Cart":
        """Have exactly so many of a product; 0 takes it out. A product too many is not put in."""
        changed = {**self.quantities, sku: quantity}
        kept = {name: count for name, count in changed.items() if count > 0}
        if len(kept) > LINES_MAX or kept == self.quantities:
            return self
        return Cart(self.id, self.version + 1, kept)


class Recent(msgspec.Struct, frozen=True):
    """An order that was placed from here, and the cart that it was."""

    order_id: str
    number: int
    cart_key: str


class Visitor(msgspec.Struct, frozen=True):
    """``id`` is random, and known to the browser alone."""

    id: str
    cart: Cart
    recent: Annotated[tuple[Recent, ...], Meta(max_length=RECENT_MAX)] = ()

    def with_cart(self, cart: Cart) -> "Visitor":
        """Return the visitor with another cart."""
        return msgspec.structs.replace(self, cart=cart)

    def having_ordered(self, order: Recent, next_cart_id: str) -> "Visitor":
        """Note an order; if it was the current cart's, go on with an empty one."""
        others = [row for row in self.recent if row.order_id != order.order_id]
        bought = order.cart_key == self.cart.key
        cart = Cart(next_cart_id) if bought else self.cart
        return Visitor(self.id, cart, (order, *others)[:RECENT_MAX])

    def ordered(self, cart_key: str) -> Recent | None:
        """Return the order that was placed with this cart, if it was placed from here."""
        return next((row for row in self.recent if row.cart_key == cart_key), None)
