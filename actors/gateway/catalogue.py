"""The products that can be ordered, and what they cost: prices come from here, not from clients."""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from importlib.resources import files

import msgspec

from actors.domain.values import Line, Money, Sku, total_of
from actors.gateway.problems import FieldError, invalid
from actors.gateway.requests import Item


class Product(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One product."""

    sku: Sku
    name: str
    description: str
    price: Money


class ProductsReply(msgspec.Struct, frozen=True):
    """The whole catalogue."""

    data: list[Product]


class Rendered(msgspec.Struct, frozen=True):
    """A reply's body, and the ETag that changes when it does."""

    body: bytes
    etag: str


class Catalogue:
    """Products by sku. It never changes while the process runs, so its replies are made once."""

    def __init__(self, products: Iterable[Product]) -> None:
        self._products = {product.sku: product for product in products}
        self.all = _render(ProductsReply(list(self._products.values())))
        self._rendered = {sku: _render(product) for sku, product in self._products.items()}

    def __iter__(self) -> Iterator[Product]:
        """Iterate over the products, in the catalogue's order."""
        return iter(self._products.values())

    def get(self, sku: str) -> Product | None:
        """Return one product; None for an unknown sku."""
        return self._products.get(sku)

    def product(self, sku: str) -> Rendered | None:
        """Return one product's reply; None for an unknown sku."""
        return self._rendered.get(sku)

    def price(self, items: Sequence[Item], expected_total: Money | None) -> tuple[Line, ...]:
        """Return the order's lines at today's prices.

        Rejection(unknown-product) names every unknown item; where the total is not the one that
        the customer has seen, Rejection(validation-failed) says what it is now.
        """
        unknown = [
            FieldError("unknown-product", "is not in the catalogue", pointer=f"#/items/{place}/sku")
            for place, item in enumerate(items)
            if item.sku not in self._products
        ]
        if unknown:
            raise invalid(*unknown, code="unknown-product")
        lines = tuple(self._line(item) for item in items)
        total = total_of(lines)
        if expected_total is not None and expected_total != total:
            detail = f"must be {total.amount} {total.currency} (in minor units)"
            raise invalid(FieldError("total-changed", detail, pointer="#/expected_total"))
        return lines

    def _line(self, item: Item) -> Line:
        product = self._products[item.sku]
        return Line(product.sku, product.name, item.quantity, product.price)


def built_in_catalogue() -> Catalogue:
    """Return the products that come with the package, in EUR."""
    text = files("actors.gateway").joinpath("products.json").read_bytes()
    return Catalogue(msgspec.json.decode(text, type=list[Product]))


def _render(reply: ProductsReply | Product) -> Rendered:
    body = msgspec.json.encode(reply)
    return Rendered(body, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
