"""Every web page: one table, like that of the API, and a handler for each row."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from quart import Response

from actors.gateway.pages.catalogue import CataloguePages
from actors.gateway.pages.site import Site

Handler = Callable[..., Awaitable[Response]]


class Page(msgspec.Struct, frozen=True):
    """One route: what is shown there, or which form is sent there.

    ``document``: a person reads what is answered, so a refusal is a page too.
    """

    id: str
    method: Literal["GET", "POST"]
    path: str
    test_mode_only: bool = False
    document: bool = True


PAGES: tuple[Page, ...] = (
    Page("page_products", "GET", "/"),
    Page("page_product", "GET", "/products/{sku}"),
    Page("static", "GET", "/static/{path:name}", document=False),
)


def page_handlers(site: Site) -> dict[str, Handler]:
    """Return what answers each row of `PAGES`, by its id."""
    catalogue = CataloguePages(site)
    return {
        "page_products": catalogue.products,
        "page_product": catalogue.product,
        "static": site.static.file,
    }
