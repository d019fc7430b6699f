"""Who may see an order's pages: whoever came by its link, which becomes a cookie at once.

The link is ``/o/<order id>.<access token>``. It is exchanged before any page is shown, so the token
is in no address that a page, a referrer or a proxy's log further on could have. The cookie goes to
this order's pages only. An order without its cookie is an order that does not exist.
"""

from quart import Response, request

from actors.gateway.auth import Authority, Principal, unauthorized
from actors.gateway.pages.site import Site
from actors.gateway.problems import not_found

ORDER_COOKIE = "order"
FIND_PATH = "/orders/find"


def order_page(order_id: str) -> str:
    """Return the path of an order's page, below which are all of its pages."""
    return f"/orders/{order_id}"


def link_path(authority: Authority, order_id: str, created_at_ms: int) -> str:
    """Return the path of the order's link, which lets its bearer change the order."""
    return f"/o/{order_id}.{authority.access_token(order_id, created_at_ms)}"


class Access:
    """Admits by cookie, and gives cookies for links."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._gateway = site.gateway

    def admit(self, order_id: str, *, edit: bool = False) -> Principal:
        """Return who looks at the order; Rejection not-found, forbidden or rate-limited."""
        token = request.cookies.get(ORDER_COOKIE)
        if token is None:
            raise not_found()
        return self._gateway.admit_bearer(order_id, token, edit=edit)

    async def open_link(self, link: str) -> Response:
        """Exchange a link for the cookie, and go to the order."""
        order_id, _, token = link.partition(".")
        principal = self._gateway.admit_bearer(order_id, token)
        if principal.kind != "guest":
            raise unauthorized("A link holds an order's own token.")
        return self.keep(self._site.see_other(order_page(order_id)), order_id, token)

    def keep(self, response: Response, order_id: str, token: str) -> Response:
        """Give the browser this order's cookie."""
        self._site.set_cookie(
            response,
            ORDER_COOKIE,
            token,
            max_age_s=int(self._gateway.limits.token_ttl_s),
            path=order_page(order_id),
        )
        return response
