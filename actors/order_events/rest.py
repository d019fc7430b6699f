"""The Order Event Service's own HTTP API, for the other services when they are other processes.

The law: a request is decoded by one function, answered by the same client object that a service in
this process would use, and every error is turned into a problem by one function. Handlers only ask
the writer, so a caller that goes away kills its handler, never its command. `ROUTES` says who may
call what; a service is known by its token.
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Protocol, TypeVar

import msgspec
from quart import Quart, Response, request
from werkzeug.exceptions import UnsupportedMediaType

from actors.domain.event_json import event_json
from actors.domain.events import EVENT_TYPES, Event, EventType, decode_body
from actors.domain.order_events import (
    CancelOrder,
    Command,
    OrderEvents,
    PlaceOrder,
    Service,
    UpdatePayment,
    UpdateShippingAddress,
)
from actors.order_events.parameters import moment, number, order_query, seconds
from actors.order_events.problems import InvalidBody, pointer_of, respond
from actors.order_events.wire import (
    REPLAYED_HEADER,
    AppendBody,
    CommandBody,
    EventsReply,
    ObligationsReply,
    OrdersReply,
    ReceiptReply,
    RecordedReply,
)
from runtime.errors import Rejection
from runtime.message import MessageType
from runtime.outbox import RelayStatistics
from runtime.redaction import describe_error
from runtime.telemetry import Telemetry

BODY_BYTES_MAX = 64 * 1024
_METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"

T = TypeVar("T")


class Client(OrderEvents, Protocol):
    """What this API serves: the protocol, and what only the gateway needs besides."""

    async def all_events(
        self, *, after: int = 0, limit: int = 100, wait_s: float = 0.0
    ) -> list[Event]:
        """Return events of all orders after a position."""
        ...

    async def erase(self, order_id: str) -> None:
        """Erase the personal data of a settled order."""
        ...


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """What the API needs of the process around it.

    ``tokens``: a bearer token for each service. ``checks``: what readiness rests on, by name,
    ``ok`` or a sentence. ``status``: anything that JSON can show.
    """

    client: Callable[[Service], Client]
    tokens: Mapping[Service, str]
    outbox: Callable[[], RelayStatistics]
    flush_outbox: Callable[[], None]
    checks: Callable[[], Mapping[str, str]]
    status: Callable[[], object]
    telemetry: Telemetry


class _Api:
    """The handlers. ``caller`` is the client of the service that calls."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def place(self, caller: Client) -> Response:
        return await self._execute(caller, PlaceOrder, None)

    async def update_payment(self, caller: Client, order_id: str) -> Response:
        return await self._execute(caller, UpdatePayment, order_id)

    async def update_address(self, caller: Client, order_id: str) -> Response:
        return await self._execute(caller, UpdateShippingAddress, order_id)

    async def cancel(self, caller: Client, order_id: str) -> Response:
        return await self._execute(caller, CancelOrder, order_id)

    async def _execute(self, caller: Client, kind: type[Command], order_id: str | None) -> Response:
        body = await _decoded(CommandBody)
        if not isinstance(body.command, kind):
            raise InvalidBody("#/command/type")
        if getattr(body.command, "order_id", None) != order_id:
            raise InvalidBody("#/command/order_id")
        receipt = await caller.execute(body.command, body.intent)
        order = receipt.order
        response = _json(ReceiptReply(order, receipt.replayed), 201 if order_id is None else 200)
        response.headers["ETag"] = f'"{order.version}"'
        if order_id is None:
            response.headers["Location"] = f"/internal/v1/orders/{order.id}"
        return _marked(response, receipt.replayed)

    async def append(self, caller: Client, order_id: str) -> Response:
        body = await _decoded(AppendBody)
        row = _event_type(body)
        recorded = await caller.append(
            order_id,
            body.id,
            decode_body(row.name, row.schema_version, body.data),
            correlation_id=body.correlation_id,
            expected_version=body.expected_version,
        )
        reply = RecordedReply(event_json(recorded.event), recorded.replayed)
        return _marked(_json(reply, 200 if recorded.replayed else 201), recorded.replayed)

    async def order(self, caller: Client, order_id: str) -> Response:
        at_version, at_ms = moment()
        order = await caller.order(order_id, at_version=at_version, at_ms=at_ms)
        response = _json(order)
        response.headers["ETag"] = f'"{order.version}"'
        return response

    async def events(self, caller: Client, order_id: str) -> Response:
        found = await caller.events(
            order_id, after=number("after", 0), limit=number("limit", 100), wait_s=seconds("wait")
        )
        return _json(EventsReply([event_json(event) for event in found]))

    async def all_events(self, caller: Client) -> Response:
        found = await caller.all_events(
            after=number("after", 0), limit=number("limit", 100), wait_s=seconds("wait")
        )
        return _json(EventsReply([event_json(event) for event in found]))

    async def personal(self, caller: Client, order_id: str) -> Response:
        return _json(await caller.personal(order_id, request.args.get("ref", "")))

    async def erase(self, caller: Client, order_id: str) -> Response:
        await caller.erase(order_id)
        return Response("", 204)

    async def orders(self, caller: Client) -> Response:
        return _json(OrdersReply(await caller.orders(order_query())))

    async def obligations(self, caller: Client) -> Response:
        return _json(ObligationsReply(await caller.refunds_due()))

    async def outbox(self, caller: Client) -> Response:
        return _json(self._ports.outbox())

    async def flush(self, caller: Client) -> Response:
        self._ports.flush_outbox()
        return _json(self._ports.outbox(), 202)

    async def status(self, caller: Client) -> Response:
        return _json(self._ports.status())

    async def alive(self) -> Response:
        return _json({"status": "ok"})

    async def ready(self) -> Response:
        checks = self._ports.checks()
        return _json({"checks": checks}, 200 if set(checks.values()) <= {"ok"} else 503)

    async def metrics(self) -> Response:
        return Response(self._ports.telemetry.render(), content_type=_METRICS_TYPE)


_Handler = Callable[..., Awaitable[Response]]
EVERYBODY: tuple[Service, ...] = ("gateway", "payment", "shipping", "notification")
GATEWAY: tuple[Service, ...] = ("gateway",)
_ONE = "/internal/v1/orders/<order_id>"
ROUTES: tuple[tuple[str, str, _Handler, tuple[Service, ...]], ...] = (
    ("POST", "/internal/v1/orders", _Api.place, GATEWAY),
    ("PUT", f"{_ONE}/payment", _Api.update_payment, GATEWAY),
    ("PUT", f"{_ONE}/shipping-address", _Api.update_address, GATEWAY),
    ("POST", f"{_ONE}/cancellation", _Api.cancel, GATEWAY),
    ("POST", f"{_ONE}/events", _Api.append, ("payment", "shipping")),
    ("GET", _ONE, _Api.order, EVERYBODY),
    ("GET", f"{_ONE}/events", _Api.events, EVERYBODY),
    ("GET", f"{_ONE}/personal", _Api.personal, EVERYBODY),
    ("POST", f"{_ONE}/erasure", _Api.erase, GATEWAY),
    ("GET", "/internal/v1/orders", _Api.orders, EVERYBODY),
    ("GET", "/internal/v1/events", _Api.all_events, GATEWAY),
    ("GET", "/internal/v1/obligations", _Api.obligations, EVERYBODY),
    ("GET", "/internal/v1/outbox", _Api.outbox, GATEWAY),
    ("POST", "/internal/v1/outbox/flush", _Api.flush, GATEWAY),
    ("GET", "/internal/v1/status", _Api.status, EVERYBODY),
)
# Without a token: they tell nothing of any order.
OPEN_ROUTES: tuple[tuple[str, _Handler], ...] = (
    ("/healthz", _Api.alive),
    ("/readyz", _Api.ready),
    ("/metrics", _Api.metrics),
)


def create_app(ports: Ports) -> Quart:
    """Return the ASGI application. Long polls end early once `Wakeups.close` was called."""
    app = Quart("order_events")
    app.config["MAX_CONTENT_LENGTH"] = BODY_BYTES_MAX
    app.config["BODY_TIMEOUT"] = 5
    api = _Api(ports)
    for method, rule, handler, permitted in ROUTES:
        view = _guarded(api, handler, permitted, ports)
        app.add_url_rule(rule, f"{method} {rule}", view, methods=[method])
    for rule, handler in OPEN_ROUTES:
        app.add_url_rule(rule, rule, partial(handler, api), methods=["GET"])

    async def explain(error: Exception) -> Response:
        response = respond(error)
        if response.status_code == 500:
            ports.telemetry.event("http.failed", "error", error=describe_error(error))
        return response

    app.register_error_handler(Exception, explain)
    return app


def _guarded(
    api: _Api, handler: _Handler, permitted: tuple[Service, ...], ports: Ports
) -> Callable[..., Awaitable[Response]]:
    async def view(**path: str) -> Response:
        service = _authenticated(ports.tokens)
        if service not in permitted:
            message = f"The {service} service may not call this."
            raise Rejection("forbidden", message, status_hint=403)
        return await handler(api, ports.client(service), **path)

    return view


def _authenticated(tokens: Mapping[Service, str]) -> Service:
    """Return whose token this is; every token is compared, in constant time."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    found: Service | None = None
    for service, token in tokens.items():
        if hmac.compare_digest(given.encode(), token.encode()):
            found = service
    if found is None or scheme.lower() != "bearer" or not given:
        raise Rejection("unauthorized", "A service token is needed.", status_hint=401)
    return found


async def _decoded(kind: type[T]) -> T:
    """Return the request's body; every malformed byte string ends in an `InvalidBody`."""
    if request.mimetype != "application/json":
        raise UnsupportedMediaType
    raw = await request.get_data(as_text=False)
    try:
        return msgspec.json.decode(raw, type=kind)
    except msgspec.ValidationError as error:
        raise InvalidBody(pointer_of(error)) from error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidBody(None) from error


def _event_type(body: AppendBody) -> EventType:
    kind = MessageType.parse(body.type)
    row = EVENT_TYPES.get(kind.name)
    if row is None or row.schema_version != kind.version:
        raise InvalidBody("#/type")
    if body.publish is not None and body.publish != (row.exchange is not None):
        raise InvalidBody("#/publish")
    return row


def _json(value: object, status: int = 200) -> Response:
    response = Response(msgspec.json.encode(value), status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    return response


def _marked(response: Response, replayed: bool) -> Response:
    if replayed:
        response.headers[REPLAYED_HEADER] = "true"
    return response
