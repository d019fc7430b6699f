"""Every route of the API: one table that the app is built from, and its description too.

``problems`` lists the slugs that are particular to the operation; those that any answer may be are
in `COMMON`. ``parameters`` name rows of ``openapi.PARAMETERS``.
"""

from typing import Literal

import msgspec

from actors.domain.values import Address
from actors.gateway.catalogue import Product, ProductsReply
from actors.gateway.replies import (
    EventsReply,
    HealthReply,
    OrderReply,
    OrdersReply,
    PlacedReply,
    ProblemReply,
    ReadyReply,
    TestCardsReply,
)
from actors.gateway.requests import CancelRequest, Payment, PlaceRequest, ShipRequest

Access = Literal["public", "anyone", "order", "staff", "operator"]
Method = Literal["GET", "POST", "PUT"]
Tag = Literal["orders", "products", "service"]

COMMON = ("bad-request", "overloaded", "internal")
_ASKS = ("service-unavailable", "store-unavailable")
_OF_ORDER = ("unauthorized", "not-found", *_ASKS)
_BODY = ("malformed-json", "body-too-large", "unsupported-media-type", "request-timeout")
_CHANGES = (
    *_OF_ORDER,
    *_BODY,
    "validation-failed",
    "forbidden",
    "rate-limited",
    "idempotency-key-reused",
    "version-mismatch",
    "precondition-required",
)
_CHANGE_HEADERS = ("If-Match", "Idempotency-Key")


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One route: how it is reached, who may, what goes in and out."""

    id: str
    method: Method
    path: str
    summary: str
    tag: Tag
    access: Access = "public"
    body: type[msgspec.Struct] | None = None
    body_optional: bool = False
    reply: type[msgspec.Struct] | None = None
    media_type: str = "application/json"
    status: int = 200
    conditional: bool = False
    parameters: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    test_mode_only: bool = False


OPERATIONS: tuple[Operation, ...] = (
    Operation(
        id="products",
        method="GET",
        path="/v1/products",
        summary="All products",
        tag="products",
        reply=ProductsReply,
        conditional=True,
    ),
    Operation(
        id="product",
        method="GET",
        path="/v1/products/{sku}",
        summary="One product",
        tag="products",
        reply=Product,
        conditional=True,
        problems=("not-found",),
    ),
    Operation(
        id="place",
        method="POST",
        path="/v1/orders",
        summary="Place an order",
        tag="orders",
        access="anyone",
        body=PlaceRequest,
        reply=PlacedReply,
        status=201,
        parameters=("Idempotency-Key",),
        problems=(
            *_BODY,
            *_ASKS,
            "unauthorized",
            "forbidden",
            "validation-failed",
            "unknown-product",
            "payment-method-invalid",
            "idempotency-key-reused",
            "rate-limited",
        ),
    ),
    Operation(
        id="orders",
        method="GET",
        path="/v1/orders",
        summary="The order list, newest first",
        tag="orders",
        access="staff",
        reply=OrdersReply,
        parameters=("status", "email", "since", "cursor", "limit"),
        problems=("unauthorized", "forbidden", "validation-failed", *_ASKS),
    ),
    Operation(
        id="order",
        method="GET",
        path="/v1/orders/{order_id}",
        summary="An order, as it is or as it was",
        tag="orders",
        access="order",
        reply=OrderReply,
        conditional=True,
        parameters=("at",),
        problems=(*_OF_ORDER, "validation-failed"),
    ),
    Operation(
        id="events",
        method="GET",
        path="/v1/orders/{order_id}/events",
        summary="An order's history",
        tag="orders",
        access="order",
        reply=EventsReply,
        parameters=("after", "limit"),
        problems=(*_OF_ORDER, "validation-failed"),
    ),
    Operation(
        id="stream",
        method="GET",
        path="/v1/orders/{order_id}/events/stream",
        summary="An order's events as they happen",
        tag="orders",
        access="order",
        media_type="text/event-stream",
        parameters=("after", "Last-Event-ID"),
        problems=(*_OF_ORDER, "validation-failed", "rate-limited"),
    ),
    Operation(
        id="update_payment",
        method="PUT",
        path="/v1/orders/{order_id}/payment",
        summary="Pay with another card, until payment begins",
        tag="orders",
        access="order",
        body=Payment,
        reply=OrderReply,
        parameters=_CHANGE_HEADERS,
        problems=(*_CHANGES, "payment-locked", "order-cancelled", "payment-method-invalid"),
    ),
    Operation(
        id="update_address",
        method="PUT",
        path="/v1/orders/{order_id}/shipping-address",
        summary="Ship to another address, until preparation begins",
        tag="orders",
        access="order",
        body=Address,
        reply=OrderReply,
        parameters=_CHANGE_HEADERS,
        problems=(*_CHANGES, "shipping-locked", "order-cancelled"),
    ),
    Operation(
        id="cancel",
        method="POST",
        path="/v1/orders/{order_id}/cancellation",
        summary="Cancel an order, until preparation begins; a capture is refunded",
        tag="orders",
        access="order",
        body=CancelRequest,
        body_optional=True,
        reply=OrderReply,
        parameters=_CHANGE_HEADERS,
        problems=(*_CHANGES, "cancellation-locked", "order-already-cancelled"),
    ),
    Operation(
        id="ship",
        method="POST",
        path="/v1/orders/{order_id}/shipment",
        summary="Report that the carrier took the parcel",
        tag="orders",
        access="operator",
        body=ShipRequest,
        reply=OrderReply,
        problems=(
            *_OF_ORDER,
            *_BODY,
            "forbidden",
            "validation-failed",
            "not-prepared",
            "order-cancelled",
            "already-shipped",
        ),
    ),
    Operation(
        id="test_cards",
        method="GET",
        path="/v1/test-cards",
        summary="The cards that work here, and what each of them does",
        tag="products",
        reply=TestCardsReply,
        test_mode_only=True,
    ),
    Operation(
        id="healthz",
        method="GET",
        path="/healthz",
        summary="Whether the process is alive",
        tag="service",
        reply=HealthReply,
    ),
    Operation(
        id="readyz",
        method="GET",
        path="/readyz",
        summary="Whether the system can serve: 200 or 503, with each check",
        tag="service",
        reply=ReadyReply,
    ),
    Operation(
        id="metrics",
        method="GET",
        path="/metrics",
        summary="Metrics in Prometheus' text format",
        tag="service",
        media_type="text/plain",
    ),
    Operation(
        id="openapi",
        method="GET",
        path="/openapi.json",
        summary="This document",
        tag="service",
    ),
    Operation(
        id="problem",
        method="GET",
        path="/problems/{slug}",
        summary="What a problem type means and what to do about it",
        tag="service",
        reply=ProblemReply,
        problems=("not-found",),
    ),
)
