"""The handlers of the internal API: decode, ask the caller's own client, show the answer.

A handler only asks, so a caller that goes away kills its handler and never its command. Everything
that can be wrong with a body is found by `_decoded`; every error is raised, and told elsewhere.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

import msgspec
from quart import Response, request
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
from actors.order_events.parameters import kinds, moment, number, order_query, seconds
from actors.order_events.problems import InvalidBody, pointer_of
from actors.order_events.wire import (
    REPLAYED_HEADER,
    AppendBody,
    CommandBody,
    EventsReply,
    ObligationsReply,
    OrdersReply,
    RecordedReply,
    ReplayBody,
    ReplayReply,
)
from actors.status import OK, Check
from runtime.message import MessageType
from runtime.outbox import RelayStatistics
from runtime.telemetry import Telemetry

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

    ``tokens``: a bearer token for each service. ``checks``: what readiness rests on, by name.
    ``status``: anything that JSON can show.
    """

    client: Callable[[Service], Client]
    tokens: Mapping[Service, str]
    outbox: Callable[[], RelayStatistics]
    flush_outbox: Callable[[], None]
    checks: Mapping[str, Check]
    status: Callable[[], object]
    telemetry: Telemetry


class Api:
    """One method for each route. ``caller`` is the client of the service that calls."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports

    async def place(self, caller: Client) -> Response:
        """Create an order: 201 with its place, and the same again for a replay."""
        return await self._execute(caller, PlaceOrder, None)

    async def update_payment(self, caller: Client, order_id: str) -> Response:
        """Pay with another card."""
        return await self._execute(caller, UpdatePayment, order_id)

    async def update_address(self, caller: Client, order_id: str) -> Response:
        """Ship to another address."""
        return await self._execute(caller, UpdateShippingAddress, order_id)

    async def cancel(self, caller: Client, order_id: str) -> Response:
        """Call the order off."""
        return await self._execute(caller, CancelOrder, order_id)

    async def _execute(self, caller: Client, kind: type[Command], order_id: str | None) -> Response:
        body = await _decoded(CommandBody)
        if not isinstance(body.command, kind):
            raise InvalidBody("#/command/type")
        if getattr(body.command, "order_id", None) != order_id:
            raise InvalidBody("#/command/order_id")
        receipt = await caller.execute(body.command, body.intent)
        order = receipt.order
        response = _json(receipt, 201 if order_id is None else 200)
        response.headers["ETag"] = f'"{order.version}"'
        if order_id is None:
            response.headers["Location"] = f"/internal/v1/orders/{order.id}"
        return _marked(response, receipt.replayed)

    async def replay(self, caller: Client) -> Response:
        """Show what was answered to an intent before, or null: nothing is carried out."""
        receipt = await caller.replay((await _decoded(ReplayBody)).intent)
        return _marked(_json(ReplayReply(receipt)), receipt is not None)

    async def append(self, caller: Client, order_id: str) -> Response:
        """Append the calling service's event: 201, or 200 with the original."""
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
        """Show the order, or with ``at`` as it was at a version or time."""
        at_version, at_ms = moment()
        order = await caller.order(order_id, at_version=at_version, at_ms=at_ms)
        response = _json(order)
        response.headers["ETag"] = f'"{order.version}"'
        return response

    async def events(self, caller: Client, order_id: str) -> Response:
        """Show the order's events after a version; ``wait`` for the first one."""
        found = await caller.events(
            order_id, after=number("after", 0), limit=number("limit", 100), wait_s=seconds("wait")
        )
        return _json(EventsReply([event_json(event) for event in found]))

    async def all_events(self, caller: Client) -> Response:
        """Show events of all orders after a position; ``wait`` for the first one."""
        found = await caller.all_events(
            after=number("after", 0), limit=number("limit", 100), wait_s=seconds("wait")
        )
        return _json(EventsReply([event_json(event) for event in found]))

    async def personal(self, caller: Client, order_id: str) -> Response:
        """Show what the vault references ``ref`` stand for, one or more."""
        return _json(await caller.personal(order_id, *(request.args.getlist("ref") or ("",))))

    async def order_with(self, caller: Client, order_id: str) -> Response:
        """Show the order, as it is or was ``at``, and what it refers to as each ``kind``."""
        at_version, _ = moment()
        return _json(await caller.order_with(order_id, *kinds(), at_version=at_version))

    async def erase(self, caller: Client, order_id: str) -> Response:
        """Erase the personal data of a settled order: 204."""
        await caller.erase(order_id)
        return Response("", 204)

    async def orders(self, caller: Client) -> Response:
        """Show rows of the order list, newest first."""
        return _json(OrdersReply(await caller.orders(order_query())))

    async def obligations(self, caller: Client) -> Response:
        """Show what is owed to whom."""
        return _json(ObligationsReply(await caller.refunds_due()))

    async def outbox(self, caller: Client) -> Response:
        """Show the relay's figures."""
        return _json(self._ports.outbox())

    async def flush(self, caller: Client) -> Response:
        """Wake the relay: 202."""
        self._ports.flush_outbox()
        return _json(self._ports.outbox(), 202)

    async def status(self, caller: Client) -> Response:
        """Show what the process says of itself."""
        return _json({"service": "order-events", "status": self._ports.status()})

    async def alive(self) -> Response:
        """Say that the process is alive."""
        return _json({"status": OK})

    async def ready(self) -> Response:
        """Say whether the service can do its work now: 200 or 503, with the reasons."""
        checks = {name: check() for name, check in self._ports.checks.items()}
        ready = all(said == OK for said in checks.values())
        return _json({"checks": checks}, 200 if ready else 503)

    async def metrics(self) -> Response:
        """Show the metrics in Prometheus' text format."""
        return Response(self._ports.telemetry.render(), content_type=_METRICS_TYPE)


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
