"""The checkout: one page, one form, one order for one state of the cart.

The form holds the cart that it was made for, signed: whatever happens in other tabs, it orders what
its reader saw. The key of the order is the cart's id and version, so the same form sent twice, or
from two tabs, is the same order; a changed form under the same key leads to the order there is.
"""

from collections.abc import Mapping
from typing import cast

from quart import Response

from actors.domain.order import Order
from actors.domain.values import Address, Customer, Money
from actors.gateway.auth import GUEST
from actors.gateway.context import facts
from actors.gateway.ordering import Ordering
from actors.gateway.pages import address_form, payment_form
from actors.gateway.pages.access import Access, order_page
from actors.gateway.pages.cart import basket_of
from actors.gateway.pages.forms import Form, convert
from actors.gateway.pages.site import Site
from actors.gateway.pages.visitor import Cart, Recent, Visitor
from actors.gateway.problems import FieldError
from actors.gateway.requests import PlaceRequest
from runtime.errors import Rejection

LABELS = {"email": "E-mail", **address_form.LABELS, **payment_form.LABELS}
ROUTE = "POST /v1/orders"
"""Keys of orders are one space, however an order is placed."""
_CUSTOMER_VALID = {"email": "a@example.org", "name": "A"}
_CUSTOMER_EMPTY = {
    "email": "Enter your e-mail address: we write when the order moves.",
    "name": "Enter the name on the door.",
}


class CheckoutPages:
    """Shows the form and places what it says."""

    def __init__(self, site: Site, access: Access, ordering: Ordering) -> None:
        self._site = site
        self._access = access
        self._ordering = ordering
        self._gateway = site.gateway
        self._carts = site.signer("checkout-cart")

    async def show(self) -> Response:
        """Show the form for the cart as it is now."""
        visitor = self._site.visitor()
        values = {"country": "DE", "token": "pm_card_visa"}
        return self._form(visitor, visitor.cart, values, {})

    async def place(self) -> Response:
        """Place the order, and go to its page."""
        form = await self._site.form()
        visitor, cart = self._site.visitor(), self._carts.read(form.text("cart"), Cart)
        if cart is None or basket_of(cart, self._gateway.catalogue).total is None:
            return self._site.see_other("/cart")
        asked, errors = self._read(form, cart)
        if asked is not None:
            self._gateway.limit(GUEST)
            try:
                order = await self._place(asked, cart)
            except Rejection as refusal:
                known = visitor.ordered(cart.key)
                if refusal.code == "idempotency-key-reused" and known is not None:
                    return self._site.see_other(order_page(known.order_id))
                errors = _beside_fields(refusal)
            else:
                return self._placed(visitor, cart, order)
        names = (name for name in LABELS if name not in ("number", "cvc"))
        return self._form(visitor, cart, address_form.kept(form, *names), errors, 422)

    def _form(
        self,
        visitor: Visitor,
        cart: Cart,
        values: dict[str, str],
        errors: Mapping[str, str],
        status: int = 200,
    ) -> Response:
        basket = basket_of(cart, self._gateway.catalogue)
        if basket.total is None:
            return self._site.see_other("/cart")
        return self._site.page(
            "checkout.html",
            status,
            visitor=visitor,
            cart=self._carts.sign(cart),
            basket=basket,
            values=values,
            errors=errors,
            labels=LABELS,
            cards=payment_form.chips(self._gateway.mode),
            countries=address_form.countries_for(values),
        )

    def _read(self, form: Form, cart: Cart) -> tuple[PlaceRequest | None, dict[str, str]]:
        """Return what is asked for, or what is wrong with which field, in the form's order."""
        fields = {name: form.text(name) for name in _CUSTOMER_VALID}
        customer, wrong = convert(fields, Customer, _CUSTOMER_VALID, _CUSTOMER_EMPTY)
        address, wrong_address = address_form.read_address(form)
        payment, wrong_payment = payment_form.read_payment(form)
        found = {**wrong, **wrong_address, **wrong_payment}
        errors = {name: found[name] for name in LABELS if name in found}
        amount = form.whole("total", 0, 999_999_999)
        if errors or payment is None:
            return None, errors
        seen = None if amount is None else Money(amount, form.text("currency"))
        items = tuple(i for i in cart.items if self._gateway.catalogue.get(i.sku) is not None)
        return PlaceRequest(
            customer=cast("Customer", customer),
            items=items,
            shipping_address=cast("Address", address),
            payment=payment,
            expected_total=seen,
        ), {}

    async def _place(self, asked: PlaceRequest, cart: Cart) -> Order:
        intent = self._gateway.intents.intent(
            GUEST, ROUTE, asked, key=cart.key, correlation_id=facts().request_id
        )
        return (await self._ordering.place(asked, intent)).order

    def _placed(self, visitor: Visitor, cart: Cart, order: Order) -> Response:
        recent = Recent(order.id, order.number, cart.key)
        after = visitor.having_ordered(recent, self._site.random_id())
        response = self._site.see_other(order_page(order.id), visitor=after)
        token = self._gateway.authority.access_token(order.id, order.created_at_ms)
        return self._access.keep(response, order.id, token)


def _beside_fields(refusal: Rejection) -> dict[str, str]:
    """Return the refusal as sentences beside fields; raise it where it is about no field."""
    found = refusal.details.get("errors")
    first = found[0] if isinstance(found, list) and found else None
    if not isinstance(first, FieldError):
        raise refusal
    if refusal.code == "payment-method-invalid":
        return payment_form.refused_card(first)
    if first.code == "total-changed":
        return {"total": "Prices have changed since you opened this page. Please look again."}
    raise refusal
