"""The Order Event Service reached over HTTP: `OrderEvents` for a service in a process of its own.

A request that got no answer, for whatever reason, may have been carried out: the caller asks again
with the same key or event id. A wrong token is nobody's business decision, so it is `Unavailable`:
a consumer puts its messages back, and does not drop them as refused.
"""

from typing import TypeVar
from urllib.parse import quote

import httpx
import msgspec

from actors.batching import BatchingClient, Method
from actors.domain.event_json import event_of
from actors.domain.events import TYPE_OF_BODY, Body, Event, encode_body
from actors.domain.order import Order
from actors.domain.order_events import (
    CancelOrder,
    Command,
    Intent,
    OrderQuery,
    OrderSummary,
    OrderWith,
    Personal,
    PersonalKind,
    PlaceOrder,
    Receipt,
    Recorded,
    UpdatePayment,
    UpdateShippingAddress,
)
from actors.order_events.wire import (
    AppendBody,
    CommandBody,
    EventsReply,
    ObligationsReply,
    OrdersReply,
    Problem,
    RecordedReply,
    ReplayBody,
    ReplayReply,
)
from actors.service_client import Params
from runtime.errors import DeadlineExceeded, Rejection, Unavailable, Unprocessable

T = TypeVar("T")

_ROUTES: dict[type[Command], tuple[Method, str]] = {
    PlaceOrder: ("POST", ""),
    UpdatePayment: ("PUT", "/payment"),
    UpdateShippingAddress: ("PUT", "/shipping-address"),
    CancelOrder: ("POST", "/cancellation"),
}


class HttpOrderEvents:
    """`OrderEvents` over an HTTP client of the service.

    ``token`` tells the service which service calls. Every call ends within ``deadline_s``, a long
    poll within that and its own wait.
    """

    def __init__(self, http: BatchingClient, token: str, *, deadline_s: float = 10.0) -> None:
        self._http = http
        self._token = token
        self._deadline_s = deadline_s

    async def execute(self, command: Command, intent: Intent) -> Receipt:
        """Carry out a customer's command; see `OrderEvents.execute`."""
        method, path = _ROUTES[type(command)]
        if not isinstance(command, PlaceOrder):
            path = f"/{quote(command.order_id, safe='')}{path}"
        body = CommandBody(command, intent)
        return await self._call(method, f"/orders{path}", Receipt, body=body)

    async def replay(self, intent: Intent) -> Receipt | None:
        """Return the answer that this intent got before; see `OrderEvents.replay`."""
        reply = await self._call("POST", "/replays", ReplayReply, body=ReplayBody(intent))
        return reply.receipt

    async def append(
        self,
        order_id: str,
        event_id: str,
        body: Body,
        *,
        correlation_id: str,
        expected_version: int | None = None,
    ) -> Recorded:
        """Append this service's event; see `OrderEvents.append`."""
        request = AppendBody(
            id=event_id,
            type=TYPE_OF_BODY[type(body)].message_type,
            data=msgspec.Raw(encode_body(body)),
            correlation_id=correlation_id,
            expected_version=expected_version,
        )
        path = f"{_one(order_id)}/events"
        try:
            reply = await self._call("POST", path, RecordedReply, body=request)
        except Rejection as refusal:
            if refusal.code != "validation-failed":
                raise
            raise Unprocessable("malformed", refusal.message) from refusal
        return Recorded(event_of(reply.event), reply.replayed)

    async def order(
        self, order_id: str, *, at_version: int | None = None, at_ms: int | None = None
    ) -> Order:
        """Fold the order from committed events; Rejection(not-found) where it was not there."""
        params = _given({"at_version": at_version, "at_ms": at_ms})
        return await self._call("GET", _one(order_id), Order, params=params)

    async def events(
        self, order_id: str, *, after: int = 0, limit: int = 100, wait_s: float = 0.0
    ) -> list[Event]:
        """Return events after a version; with ``wait_s`` wait that long for the first one."""
        return await self._events(f"{_one(order_id)}/events", after, limit, wait_s)

    async def all_events(
        self, *, after: int = 0, limit: int = 100, wait_s: float = 0.0
    ) -> list[Event]:
        """Return events of all orders after a position, ascending and without a gap."""
        return await self._events("/events", after, limit, wait_s)

    async def personal(self, order_id: str, *refs: str) -> Personal:
        """Read vault entries; Rejection ``forbidden`` or ``not-found``."""
        path = f"{_one(order_id)}/personal"
        return await self._call("GET", path, Personal, params={"ref": refs})

    async def order_with(
        self, order_id: str, *kinds: PersonalKind, at_version: int | None = None
    ) -> OrderWith:
        """Read an order and what it refers to; see `OrderEvents.order_with`."""
        params: Params = {"kind": kinds, **_given({"at_version": at_version})}
        return await self._call("GET", f"{_one(order_id)}/with", OrderWith, params=params)

    async def orders(self, query: OrderQuery) -> list[OrderSummary]:
        """Return at most ``limit`` rows of the order list."""
        params = _given(msgspec.structs.asdict(query))
        return (await self._call("GET", "/orders", OrdersReply, params=params)).data

    async def refunds_due(self) -> list[str]:
        """Return the orders whose refund obligation is open, oldest first."""
        return (await self._call("GET", "/obligations", ObligationsReply)).refunds_due

    async def erase(self, order_id: str) -> None:
        """Erase the personal data of a settled order."""
        await self._send("POST", f"{_one(order_id)}/erasure")

    async def _events(self, path: str, after: int, limit: int, wait_s: float) -> list[Event]:
        params: Params = {"after": max(0, after), "limit": limit, "wait": f"{max(0, wait_s):.3f}"}
        reply = await self._call("GET", path, EventsReply, params=params, wait_s=wait_s)
        return [event_of(event) for event in reply.data]

    async def _call(
        self,
        method: Method,
        path: str,
        kind: type[T],
        *,
        body: msgspec.Struct | None = None,
        params: Params | None = None,
        wait_s: float = 0.0,
    ) -> T:
        raw = await self._send(method, path, body=body, params=params, wait_s=wait_s)
        try:
            return msgspec.json.decode(raw, type=kind)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise Unavailable("order-events gave an answer that cannot be read") from error

    async def _send(
        self,
        method: Method,
        path: str,
        *,
        body: msgspec.Struct | None = None,
        params: Params | None = None,
        wait_s: float = 0.0,
    ) -> bytes:
        try:
            client = self._http.alone if wait_s > 0 else self._http
            response = await client.request(
                method,
                f"/internal/v1{path}",
                token=self._token,
                body=None if body is None else msgspec.json.encode(body),
                params=params,
                timeout_s=self._deadline_s + wait_s,
            )
        except httpx.TimeoutException as error:
            message = "order-events did not answer in time: the outcome is unknown"
            raise DeadlineExceeded(message) from error
        except httpx.TransportError as error:
            # Nobody listens: that is no message's fault, so no message is parked for it. A
            # connection that breaks may be: what kills order-events each time must end somewhere.
            message = f"order-events cannot be reached: {type(error).__name__}"
            blameless = isinstance(error, httpx.ConnectError)
            raise Unavailable(message, gives_up=not blameless) from error
        if response.is_success:
            return response.content
        raise _failure(response)


def _failure(response: httpx.Response) -> Exception:
    status = response.status_code
    try:
        problem = msgspec.json.decode(response.content, type=Problem)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Unavailable(f"order-events answered {status} without a reason")
    if status >= 500 or status in (401, 408):  # 408: the request came too slowly
        after = response.headers.get("Retry-After", "")
        retry_after_s = float(after) if after.isdecimal() else None
        message = f"order-events answered {status} {problem.code}"
        return Unavailable(message, retry_after_s=retry_after_s)
    return Rejection(problem.code, problem.title, status_hint=status, details=problem.details)


def _one(order_id: str) -> str:
    return f"/orders/{quote(order_id, safe='')}"


def _given(params: dict[str, str | int | None]) -> Params:
    return {name: value for name, value in params.items() if value is not None}
