"""Finding an order again: its number and the customer's e-mail address, and the link is mailed.

The page never says whether there is such an order, and takes the same steps either way: one look,
and one word to the notification service, which answers before it does anything.
"""

from quart import Response, request

from actors.domain.order_events import OrderQuery
from actors.domain.values import Customer
from actors.gateway.auth import GUEST
from actors.gateway.pages.access import FIND_PATH, link_path
from actors.gateway.pages.address_form import kept
from actors.gateway.pages.forms import convert
from actors.gateway.pages.site import Site

LABELS = {"number": "Order number", "email": "E-mail"}
_NUMBER_MAX = 999_999_999


class FindPages:
    """The form, and what it leads to."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._gateway = site.gateway

    async def show(self) -> Response:
        """Show the form, or after it was sent, what happens now."""
        if request.args.get("asked") is not None:
            return self._site.page("found.html", recent=self._site.visitor().recent)
        return self._form({}, {})

    async def find(self) -> Response:
        """Have the link mailed, if there is such an order; say the same if there is not."""
        form = await self._site.form()
        self._gateway.limit(GUEST)
        values, errors = kept(form, *LABELS), {}
        number = form.whole("number", 1, _NUMBER_MAX)
        if number is None:
            errors["number"] = "Enter the number in your mails, such as 1042."
        asked = {"name": "A", "email": form.text("email")}
        empty = {"email": "Enter the address that you ordered with.", "name": ""}
        customer, wrong = convert(asked, Customer, {"email": "a@example.org", "name": "A"}, empty)
        errors |= wrong
        if number is None or customer is None:
            return self._form(values, errors, 422)
        await self._mail(number, customer.email)
        return self._site.see_other(f"{FIND_PATH}?asked=1")

    async def _mail(self, number: int, email: str) -> None:
        query = OrderQuery(email=email, before=number + 1, limit=1)
        rows = await self._gateway.order_events.orders(query)
        row = rows[0] if rows and rows[0].number == number else None
        order_id, created_at_ms = ("", 0) if row is None else (row.id, row.created_at_ms)
        path = link_path(self._gateway.authority, order_id, created_at_ms)
        url = f"{self._gateway.address()}{path}"
        await self._gateway.correspondence.send_link(order_id or None, url)

    def _form(self, values: dict[str, str], errors: dict[str, str], status: int = 200) -> Response:
        recent = self._site.visitor().recent
        return self._site.page(
            "find.html", status, values=values, errors=errors, labels=LABELS, recent=recent
        )
