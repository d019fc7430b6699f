"""Every web page: one table, like that of the API, and a handler for each row."""

from collections.abc import Awaitable, Callable
from typing import Literal

import msgspec
from quart import Response

from actors.gateway.console.backstage import Desks
from actors.gateway.ordering import Ordering
from actors.gateway.pages.access import FIND_PATH, Access
from actors.gateway.pages.cart import CartPages
from actors.gateway.pages.catalogue import CataloguePages
from actors.gateway.pages.changes import ChangePages
from actors.gateway.pages.checkout import CheckoutPages
from actors.gateway.pages.find import FindPages
from actors.gateway.pages.help import HelpPages
from actors.gateway.pages.order import OrderPages
from actors.gateway.pages.reference import ReferencePages
from actors.gateway.pages.site import Site
from actors.gateway.streams import StreamReads

Handler = Callable[..., Awaitable[Response]]


class Page(msgspec.Struct, frozen=True):
    """One route: what is shown there, or which form is sent there.

    ``document``: a person reads what is answered, so a refusal is a page too. ``only``: it is
    there in test mode, or where all mails are shown, and nowhere else.
    """

    id: str
    method: Literal["GET", "POST"]
    path: str
    document: bool = True
    only: Literal["test", "mailbox", ""] = ""

    def shown(self, *, test: bool, mailbox: bool) -> bool:
        """Whether this shop has the page."""
        return {"": True, "test": test, "mailbox": mailbox}[self.only]


PAGES: tuple[Page, ...] = (
    Page("page_products", "GET", "/"),
    Page("page_product", "GET", "/products/{sku}"),
    Page("page_cart", "GET", "/cart"),
    Page("change_cart", "POST", "/cart"),
    Page("page_checkout", "GET", "/checkout"),
    Page("checkout", "POST", "/checkout"),
    Page("open_link", "GET", "/o/{link}"),
    Page("page_order", "GET", "/orders/{order_id}"),
    Page("page_stream", "GET", "/orders/{order_id}/events/stream", document=False),
    Page("page_payment", "GET", "/orders/{order_id}/payment"),
    Page("change_payment", "POST", "/orders/{order_id}/payment"),
    Page("page_address", "GET", "/orders/{order_id}/address"),
    Page("change_address", "POST", "/orders/{order_id}/address"),
    Page("page_cancel", "GET", "/orders/{order_id}/cancel"),
    Page("cancel_order", "POST", "/orders/{order_id}/cancel"),
    Page("order_again", "POST", "/orders/{order_id}/again"),
    Page("page_find", "GET", FIND_PATH),
    Page("find_order", "POST", FIND_PATH),
    Page("page_mailbox", "GET", "/demo/mailbox", only="mailbox"),
    Page("page_test_cards", "GET", "/help/test-cards", only="test"),
    Page("page_api", "GET", "/docs/api"),
    Page("page_broker", "GET", "/docs/events"),
    Page("page_problems", "GET", "/problems"),
    Page("static", "GET", "/static/{path:name}", document=False),
)


def page_handlers(
    site: Site,
    ordering: Ordering,
    streams: StreamReads,
    reference: ReferencePages,
    desks: Desks,
) -> dict[str, Handler]:
    """Return what answers each row of `PAGES`, by its id."""
    access = Access(site)
    catalogue, cart = CataloguePages(site), CartPages(site)
    checkout = CheckoutPages(site, access, ordering)
    find, help_ = FindPages(site), HelpPages(site)
    order, change = OrderPages(site, access, streams, desks), ChangePages(site, access, ordering)
    return {
        "page_products": catalogue.products,
        "page_product": catalogue.product,
        "page_cart": cart.show,
        "change_cart": cart.change,
        "page_checkout": checkout.show,
        "checkout": checkout.place,
        "open_link": access.open_link,
        "page_order": order.show,
        "page_stream": order.stream,
        "page_payment": change.payment,
        "change_payment": change.change_payment,
        "page_address": change.address,
        "change_address": change.change_address,
        "page_cancel": change.cancellation,
        "cancel_order": change.cancel,
        "order_again": change.again,
        "page_find": find.show,
        "find_order": find.find,
        "page_mailbox": help_.mailbox,
        "page_test_cards": help_.test_cards,
        "page_api": reference.api,
        "page_broker": reference.events,
        "page_problems": reference.problems,
        "static": site.static.file,
    }
