"""Changing orders: each handler is admit, read, ask, render - and nothing is decided here."""

from typing import TypeVar

import msgspec
from quart import Response, request

from actors.domain.order_events import Intent, Receipt
from actors.domain.values import Address
from actors.gateway.auth import Principal, bearer, require_edit, require_staff
from actors.gateway.context import Gateway, facts, header, json_reply
from actors.gateway.decoding import read
from actors.gateway.idempotency import parse_key
from actors.gateway.ordering import By, Ordering
from actors.gateway.preconditions import etag, expected_version
from actors.gateway.replies import OrderReply, order_path, placed_reply
from actors.gateway.requests import CancelRequest, Payment, PlaceRequest, ShipRequest

S = TypeVar("S", bound=msgspec.Struct)

_PLACE = msgspec.json.Decoder(PlaceRequest)
_PAYMENT = msgspec.json.Decoder(Payment)
_ADDRESS = msgspec.json.Decoder(Address)
_CANCEL = msgspec.json.Decoder(CancelRequest)
_SHIP = msgspec.json.Decoder(ShipRequest)


class Commands:
    """Handlers that ask for a change."""

    def __init__(self, gateway: Gateway, ordering: Ordering) -> None:
        self._gateway = gateway
        self._ordering = ordering

    async def place(self) -> Response:
        """Answer a new order with 201, its address and its access token."""
        gateway = self._gateway
        principal = gateway.authority.known(bearer(header("authorization")))
        require_edit(principal)
        gateway.limit(principal)
        body = await read(_PLACE)
        receipt = await self._ordering.place(body, self._intent(principal, body))
        order = receipt.order
        reply = await gateway.render(order, customer=body.customer, address=body.shipping_address)
        token = gateway.authority.access_token(order.id, order.created_at_ms)
        headers = {"Location": order_path(order.id), **_headers(receipt)}
        return json_reply(placed_reply(reply, token), 201, headers)

    async def update_payment(self, order_id: str) -> Response:
        """Answer the order that will be paid for with another card."""
        principal = self._gateway.admit(order_id, edit=True)
        body = await read(_PAYMENT)
        intent = self._intent(principal, body, conditional=True)
        receipt = await self._ordering.update_payment(order_id, body, intent)
        return await self._answer(receipt)

    async def update_address(self, order_id: str) -> Response:
        """Answer the order that will be shipped to another address."""
        principal = self._gateway.admit(order_id, edit=True)
        body = await read(_ADDRESS)
        intent = self._intent(principal, body, conditional=True)
        receipt = await self._ordering.update_address(order_id, body, intent)
        return await self._answer(receipt, address=body)

    async def cancel(self, order_id: str) -> Response:
        """Answer the cancelled order; a refund that is due goes on in the background."""
        principal = self._gateway.admit(order_id, edit=True)
        body = await read(_CANCEL, optional=True)
        intent = self._intent(principal, body, conditional=True)
        by: By = "customer" if principal.kind == "guest" else "operator"
        receipt = await self._ordering.cancel(order_id, by, body.reason or None, intent)
        return await self._answer(receipt)

    async def ship(self, order_id: str) -> Response:
        """Forward to the shipping service that the carrier took the parcel; operators only."""
        principal = self._gateway.admit(order_id)
        require_staff(principal, edit=True)
        body = await read(_SHIP)
        recorded = await self._gateway.shipments.shipped(
            order_id, body.carrier, body.tracking, facts().request_id
        )
        version = recorded.event.version
        order = await self._gateway.order_events.order(order_id, at_version=version)
        return await self._answer(Receipt(order, recorded.replayed))

    def _intent(self, principal: Principal, body: S, *, conditional: bool = False) -> Intent:
        """Read the headers that say how the command is meant; ``conditional``: If-Match counts."""
        expected = None
        if conditional:
            required = self._gateway.limits.require_if_match
            expected = expected_version(header("if-match"), required=required)
        return self._gateway.intents.intent(
            principal,
            f"{request.method} {request.path}",
            body,
            key=parse_key(header("idempotency-key")),
            correlation_id=facts().request_id,
            expected_version=expected,
        )

    async def _answer(self, receipt: Receipt, address: Address | None = None) -> Response:
        reply: OrderReply = await self._gateway.render(receipt.order, address=address)
        return json_reply(reply, headers=_headers(receipt))


def _headers(receipt: Receipt) -> dict[str, str]:
    replayed = {"Idempotent-Replayed": "true"} if receipt.replayed else {}
    return {"ETag": etag(receipt.order.version), **replayed}
