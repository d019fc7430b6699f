"""Changing an order on its pages: another card, another address, calling it off, ordering again.

Each form names the version that its reader saw. Where the order has moved on meanwhile, the form
comes back with what happened since and with what was typed; where the change is no longer allowed,
the page says why, and since when.
"""

from collections.abc import Mapping

from quart import Response

from actors.domain.order import payment_status, status
from actors.domain.order_events import Intent
from actors.domain.rules import ACTIONS, refusal
from actors.domain.values import Address
from actors.gateway.auth import Principal
from actors.gateway.context import facts
from actors.gateway.ordering import Ordering
from actors.gateway.pages import address_form, payment_form, story
from actors.gateway.pages.access import Access, order_page
from actors.gateway.pages.forms import Form, convert
from actors.gateway.pages.order import history
from actors.gateway.pages.site import Site
from actors.gateway.problems import FieldError
from actors.gateway.requests import CancelRequest, Payment
from runtime.errors import Rejection

REASON_LABELS = {"reason": "Reason"}
_MOVED_ON = ("version-mismatch", "idempotency-key-reused")
"""The order has changed since the form was made: by somebody else, or by this very form."""


class ChangePages:
    """The three forms of an order."""

    def __init__(self, site: Site, access: Access, ordering: Ordering) -> None:
        self._site = site
        self._access = access
        self._ordering = ordering
        self._gateway = site.gateway

    # Payment

    async def payment(self, order_id: str) -> Response:
        """Show the form for another card."""
        self._access.admit(order_id)
        return await self._form("update_payment", order_id, {"token": "pm_card_visa"})

    async def change_payment(self, order_id: str) -> Response:
        """Have the order paid for with another card."""
        form = await self._site.form()
        principal = self._access.admit(order_id, edit=True)
        payment, errors = payment_form.read_payment(form)
        values = address_form.kept(form, "token", "expiry")
        if payment is None:
            return await self._form("update_payment", order_id, values, form, errors=errors)
        intent = self._intent(principal, form, "PUT", f"/v1/orders/{order_id}/payment", payment)
        try:
            await self._ordering.update_payment(order_id, payment, intent)
        except Rejection as refused:
            found = refused.details.get("errors")
            first = found[0] if isinstance(found, list) and found else None
            if refused.code == "payment-method-invalid" and isinstance(first, FieldError):
                errors = payment_form.refused_card(first)
                return await self._form("update_payment", order_id, values, form, errors=errors)
            return await self._form("update_payment", order_id, values, form, refused=refused)
        return self._site.see_other(order_page(order_id))

    # Address

    async def address(self, order_id: str) -> Response:
        """Show the form for another address, filled in with the one there is."""
        self._access.admit(order_id)
        order = await self._gateway.order_events.order(order_id)
        entry = await self._gateway.order_events.personal(order_id, order.address_ref)
        values = address_form.values_of(entry.address)
        return await self._form("update_shipping_address", order_id, values)

    async def change_address(self, order_id: str) -> Response:
        """Have the order shipped to another address."""
        form = await self._site.form()
        principal = self._access.admit(order_id, edit=True)
        action, values = "update_shipping_address", address_form.kept(form, *address_form.LABELS)
        address, errors = address_form.read_address(form)
        if address is None:
            return await self._form(action, order_id, values, form, errors=errors)
        route = f"/v1/orders/{order_id}/shipping-address"
        intent = self._intent(principal, form, "PUT", route, address)
        try:
            await self._ordering.update_address(order_id, address, intent)
        except Rejection as refused:
            return await self._form(action, order_id, values, form, refused=refused)
        return self._site.see_other(order_page(order_id))

    # Cancelling, and ordering again

    async def cancellation(self, order_id: str) -> Response:
        """Show what cancelling would mean."""
        self._access.admit(order_id)
        return await self._form("cancel", order_id, {})

    async def cancel(self, order_id: str) -> Response:
        """Call the order off."""
        form = await self._site.form()
        principal = self._access.admit(order_id, edit=True)
        values = address_form.kept(form, "reason")
        reason = {"reason": form.text("reason")}
        asked, errors = convert(reason, CancelRequest, {"reason": "-"}, {})
        if asked is None:
            return await self._form("cancel", order_id, values, form, errors=errors)
        route = f"/v1/orders/{order_id}/cancellation"
        intent = self._intent(principal, form, "POST", route, asked)
        try:
            await self._ordering.cancel(order_id, "customer", asked.reason or None, intent)
        except Rejection as refused:
            return await self._form("cancel", order_id, values, form, refused=refused)
        return self._site.see_other(order_page(order_id))

    async def again(self, order_id: str) -> Response:
        """Cancel an order whose payment failed, and fill the cart with what was in it."""
        form = await self._site.form()
        principal = self._access.admit(order_id, edit=True)
        order = await self._gateway.order_events.order(order_id)
        if not order.cancelled:
            if status(order) != "payment_failed":
                return self._site.see_other(order_page(order_id))
            asked = CancelRequest("The payment failed, ordered again")
            route = f"/v1/orders/{order_id}/cancellation"
            intent = self._intent(principal, form, "POST", route, asked)
            try:
                await self._ordering.cancel(order_id, "customer", asked.reason, intent)
            except Rejection as refused:
                if refused.code not in (*_MOVED_ON, *story.WHY):
                    raise
                return self._site.see_other(order_page(order_id))
        visitor = self._site.visitor()
        cart = visitor.cart
        for line in order.items:
            if self._gateway.catalogue.get(line.sku) is not None:
                cart = cart.put(line.sku, line.quantity)
        return self._site.see_other("/checkout", visitor=visitor.with_cart(cart))

    # What they share

    def _intent(
        self,
        principal: Principal,
        form: Form,
        method: str,
        path: str,
        body: CancelRequest | Payment | Address,
    ) -> Intent:
        """Return the intent of a form: keyed by itself, at the version that its reader saw."""
        version = form.whole("version", 1, 999_999_999)
        if version is None:
            message = "The form does not say which state of the order it was made for."
            raise Rejection("precondition-required", message, status_hint=428)
        return self._gateway.intents.intent(
            principal,
            f"{method} {path}",
            body,
            key=form.text("key")[:64] or None,
            correlation_id=facts().request_id,
            expected_version=version,
        )

    async def _form(
        self,
        action: str,
        order_id: str,
        values: dict[str, str],
        form: Form | None = None,
        *,
        errors: Mapping[str, str] | None = None,
        refused: Rejection | None = None,
    ) -> Response:
        """Show a form: fresh, or as it was sent with what is wrong, or why it was refused."""
        if refused is not None and refused.code not in (*_MOVED_ON, *story.WHY):
            raise refused
        order, events = await history(self._gateway, order_id)
        entries = story.timeline(events)
        seen = (form.whole("version", 1, 999_999_999) if form else None) or order.version
        locked = refusal(order, ACTIONS[action])
        status_code = 412 if refused else 422 if errors else 200
        if locked is not None:
            status_code = 409  # the reason to give, also where the version is an old one too
        return self._site.page(
            f"{story.PATHS[action]}.html",
            status_code,
            order=order,
            standing=story.standing(order),
            action=next(row for row in story.actions(order) if row.name == action),
            locked=locked is not None,
            since=story.since(entries, seen),
            key=self._gateway.host.ids.new("form"),
            money=payment_status(order),
            card=story.card_text(order.payment),
            values=values,
            errors=errors or {},
            labels={**address_form.LABELS, **payment_form.LABELS, **REASON_LABELS},
            cards=payment_form.chips(self._gateway.mode),
            countries=address_form.countries_for(values),
        )
