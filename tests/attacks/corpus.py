"""Requests that are wrong in every way that we know of, as bytes, each with the port it is for.

Known tricks come from RFC 9112 and from what proxies and servers got wrong over the years (request
smuggling, h2c), from JSON's dark corners, and from Unicode's. `aim` tells what is real: ids and
tokens, so that a trick gets past the doors in front of it.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from actors.gateway.operation import Operation
from actors.gateway.operations import OPERATIONS
from actors.order_events.rest import ROUTES
from actors.services import CONSUMERS, ServiceName
from tests.attacks.evil import BODIES, HEADERS, LEAVES, PATHS, QUERIES, RAW, TARGETS
from tests.harness.gateway import ADDRESS, CARD, ORDER

HOST = b"Host: shop.example\r\n"
KIND = b"Content-Type: application/json\r\n"

BODY_OF: dict[str, Any] = {
    "place": {**ORDER, "expected_total": {"amount": 4890, "currency": "EUR"}},
    "update_payment": {"card": CARD},
    "update_address": {**ADDRESS, "line2": "2nd floor", "region": "none"},
    "cancel": {"reason": "too late"},
    "ship": {"carrier": "DHL", "tracking": "JD0123"},
    "admin_flush": {"reason": "to see"},
    "admin_restart": {"path": "ordermill/nobody", "reason": "to see"},
}
# Parked messages are looked at by one request at a time. Of thousands of operators at once, some
# are told to come back later, and rightly so: these are left to schemathesis.
ASKED = [row for row in OPERATIONS if "/dead-letters" not in row.path]
METHODS = (b"HEAD", b"POST", b"PUT", b"DELETE", b"PATCH", b"OPTIONS", b"TRACE", b"BREW", b"get")


class Aim(msgspec.Struct, frozen=True):
    """What is real: an order with its customer's token, and what services and operators know."""

    order_id: str
    customer: str
    operator: str
    services: dict[str, str]
    at_shipping: str


class Shot(msgspec.Struct, frozen=True):
    """Bytes for one connection to the service of this name."""

    service: ServiceName
    data: bytes


def ordinary(aim: Aim) -> list[Shot]:
    """Return well-formed requests, one for each thing that can be asked: what mutations start from.

    Event streams are among them, changes too.
    """
    return [*_of_gateway(aim), *_of_order_events(aim), *_of_operators(aim)]


def corpus(aim: Aim) -> Iterator[Shot]:
    """Yield every request of the corpus."""
    yield from _raw(aim)
    yield from _targets(aim)
    yield from _bodies(aim)
    yield from _headers(aim)
    yield from _internal_bodies(aim)


def request(
    method: bytes, target: bytes, token: str = "", body: bytes | None = None, more: bytes = b""
) -> bytes:
    """Put a request together, without any check."""
    token_line = b"Authorization: Bearer " + token.encode() + b"\r\n" if token else b""
    head = method + b" " + target + b" HTTP/1.1\r\n" + HOST + token_line + more
    if body is None:
        return head + b"\r\n"
    kind = b"" if b"content-type:" in more.lower() else KIND
    return head + kind + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _of_gateway(aim: Aim) -> Iterator[Shot]:
    for row in ASKED:
        yield Shot("gateway", _one(aim, row, _encode(BODY_OF.get(row.id))))


def _one(aim: Aim, row: Operation, body: bytes | None, more: bytes = b"") -> bytes:
    token = aim.operator if row.access in ("staff", "operator") else aim.customer
    more = more or b"Idempotency-Key: corpus-1\r\nRequest-Id: req_corpus\r\nAccept: */*\r\n"
    target = _filled(aim, row.path)
    return request(row.method.encode(), target, token if row.access != "anyone" else "", body, more)


def _filled(aim: Aim, path: str) -> bytes:
    known = {"order_id": aim.order_id, "sku": "MUG-1", "slug": "internal", "event_id": "evt_1"}
    for name, value in known.items():
        path = path.replace(f"{{{name}}}", value).replace(f"<{name}>", value)
    return path.encode()


def _encode(body: object) -> bytes | None:
    return None if body is None else msgspec.json.encode(body)


def _of_order_events(aim: Aim) -> Iterator[Shot]:
    intent = {"principal": "guest", "route": "x", "correlation_id": "req_1"}
    command = {"type": "cancel-order", "order_id": aim.order_id, "by": "customer"}
    event = {"id": "evt_x", "type": "payment-captured/v1", "data": {}, "correlation_id": "m"}
    for method, path, _, permitted in ROUTES:
        body: object = {"command": command, "intent": intent} if method != "GET" else None
        if path.endswith("/events") and method == "POST":
            body = event
        service = "payment" if "payment" in permitted else permitted[0]
        target = _filled(aim, path)
        data = request(method.encode(), target, aim.services[service], _encode(body))
        yield Shot("order-events", data)


def _of_operators(aim: Aim) -> Iterator[Shot]:
    prefix = b"/internal/v1/operator"
    note = {"action": "backup", "target": "x", "outcome": "done"}
    reads = (b"/audit?limit=3", b"/events?after=0&limit=2", b"/events/evt_x", b"/outbox")
    for target in reads:
        yield Shot("order-events", request(b"GET", prefix + target, aim.operator))
    again = {"offers": [{"event_id": "evt_x", "queue": "payment"}], "reason": "a test"}
    for target, body in (
        (b"/outbox/flush", {"reason": "a test"}),
        (b"/outbox/reoffer", again),
        (b"/audit", note),
        (f"/erasures/{aim.order_id}".encode(), {}),
    ):
        yield Shot("order-events", request(b"POST", prefix + target, aim.operator, _encode(body)))
    none = {"reason": "a test", "ids": ["msg_none"]}
    for service in CONSUMERS:
        yield Shot(service, request(b"GET", prefix + b"/dead-letters?limit=2", aim.operator))
        yield Shot(service, request(b"GET", prefix + b"/dead-letters/x", aim.operator))
        for target, body in (
            (b"/dead-letters/replay", none),
            (b"/dead-letters/discard", none),
            (b"/inbox", {"ids": ["msg_1"]}),
            (b"/audit", note),
        ):
            yield Shot(service, request(b"POST", prefix + target, aim.operator, _encode(body)))
    shipped = f"/internal/v1/shipments/{aim.order_id}/shipped".encode()
    body = {"carrier": "DHL", "tracking": "1"}
    yield Shot("shipping", request(b"POST", shipped, aim.at_shipping, _encode(body)))


def _raw(aim: Aim) -> Iterator[Shot]:
    """Heads and framing: to every port, since all of them read HTTP."""
    for data in RAW:
        for service in ("gateway", "order-events", *CONSUMERS):
            yield Shot(service, data)


def _targets(aim: Aim) -> Iterator[Shot]:
    for target in TARGETS:
        for service in ("gateway", "order-events", "payment"):
            yield Shot(service, request(b"GET", target, aim.operator))
    for row in ASKED:
        target = _filled(aim, row.path)
        for method in METHODS:
            if method != row.method.encode():
                yield Shot("gateway", request(method, target, aim.operator))
        for query in QUERIES:
            yield Shot("gateway", request(b"GET", target + b"?" + query, aim.operator))
        for path in PATHS:
            if aim.order_id in row.path.replace("{order_id}", aim.order_id):
                odd = target.replace(aim.order_id.encode(), path)
                yield Shot("gateway", request(row.method.encode(), odd, aim.operator))


def _bodies(aim: Aim) -> Iterator[Shot]:
    """Every evil value in every place of every body, and every body that is none."""
    for row in ASKED:
        if row.body is None:
            continue
        for body in (*BODIES, *_with_evil_leaves(BODY_OF[row.id])):
            yield Shot("gateway", _one(aim, row, body))


def _with_evil_leaves(body: Any) -> Iterator[bytes]:
    marker = "a place for evil"
    for changed in _each_place(body, marker):
        text = msgspec.json.encode(changed)
        for leaf in LEAVES:
            yield text.replace(f'"{marker}"'.encode(), leaf)


def _each_place(value: Any, marker: str) -> Iterator[Any]:
    """Yield the value with the marker in one place, for each of its places."""
    yield marker
    if isinstance(value, dict):
        for key, inner in value.items():
            for changed in _each_place(inner, marker):
                yield {**value, key: changed}
        yield {**value, marker: 1}
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            for changed in _each_place(inner, marker):
                yield [*value[:number], changed, *value[number + 1 :]]


def _headers(aim: Aim) -> Iterator[Shot]:
    for row in ASKED:
        for name, values in HEADERS.items():
            for value in values:
                line = name + b": " + value + b"\r\n"
                body = _encode(BODY_OF.get(row.id))
                if name == b"Authorization":
                    target = _filled(aim, row.path)
                    data = request(row.method.encode(), target, "", body, line)
                else:
                    data = _one(aim, row, body, line)
                yield Shot("gateway", data)


def _internal_bodies(aim: Aim) -> Iterator[Shot]:
    for shot in (*_of_order_events(aim), *_of_operators(aim)):
        head, _, body = shot.data.partition(b"\r\n\r\n")
        if not body:
            continue
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        for evil in (*BODIES, *_with_evil_leaves(msgspec.json.decode(body))):
            length = b"Content-Length: %d" % len(evil)
            yield Shot(shot.service, b"\r\n".join([*lines, length]) + b"\r\n\r\n" + evil)
