"""What every handler works with: the services behind the gateway, and the request at hand.

`Gateway` is made once; what belongs to one request lives in `Facts`, put there by ``front``.
"""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal

import msgspec
from quart import Response, request

from actors.domain.correspondence import Correspondence
from actors.domain.order import Order
from actors.domain.order_events import OrderEvents
from actors.domain.shipments import Shipments
from actors.domain.values import Address, Customer
from actors.gateway.auth import (
    Authority,
    Principal,
    bearer,
    is_order_id,
    require_edit,
    unauthorized,
)
from actors.gateway.catalogue import Catalogue
from actors.gateway.idempotency import Intents
from actors.gateway.problems import not_found
from actors.gateway.rate_limit import RateLimit, caller_address
from actors.gateway.replies import OrderReply, order_reply
from actors.status import Check
from runtime.host import Host
from runtime.telemetry import Telemetry

Mode = Literal["test", "live"]
_encode = msgspec.json.Encoder().encode


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of the public API. ``rate_per_min``: writes of one guest; None for no limit.
    ``requests_max``: reads, and as many writes, in work at a time.

    ``proxy_hops`` is the exact number of trusted proxies in front; a customer's token is good for
    ``token_ttl_s`` after the order was placed.
    """

    body_bytes_max: int = 65_536
    body_s_max: float = 5.0
    requests_max: int = 400
    rate_per_min: int | None = 60
    require_if_match: bool = False
    proxy_hops: int = 0
    heartbeat_s: float = 15.0
    streams_max: int = 200
    stream_s_max: float = 600.0
    token_ttl_s: float = 7_776_000.0


class Holds(msgspec.Struct, frozen=True):
    """How long the services wait before an order's next step, as far as the settings tell."""

    payment_s: float = 0.0
    shipping_s: float = 0.0


NO_HOLDS = Holds()


class Facts(msgspec.Struct):
    """What is known of a request: its id, since when (monotonic), its route once it has one.

    ``headers`` are by name in lower case, repeated ones joined. ``page``: it is answered with a web
    page, also where it is refused.
    """

    request_id: str
    since: float
    headers: Mapping[bytes, bytes]
    route: str = "unmatched"
    page: bool = False


FACTS: ContextVar[Facts] = ContextVar("facts")


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of the API, and the few steps that most handlers share.

    ``address`` returns where customers reach it, as configured: whoever sends a request may write
    any other place into it. ``mailbox``: the pages show every customer's mails, for whoever tries
    the shop out.
    """

    order_events: OrderEvents
    shipments: Shipments
    correspondence: Correspondence
    catalogue: Catalogue
    authority: Authority
    intents: Intents
    rate_limit: RateLimit
    limits: Limits
    mode: Mode
    public_url: str
    address: Callable[[], str]
    checks: Mapping[str, Check]
    host: Host
    telemetry: Telemetry
    holds: Holds = NO_HOLDS
    mailbox: bool = False

    def admit(self, order_id: str, *, edit: bool = False) -> Principal:
        """Return who asks about this order; Rejection unauthorized, forbidden or not-found.

        A token is checked against the order's id alone and no order is looked for, so that a
        stranger's request takes the same work whether there is one or not.
        """
        token = bearer(header("authorization"))
        if token is None:
            raise unauthorized("A bearer token is needed: the order's access_token.")
        return self.admit_bearer(order_id, token, edit=edit)

    def admit_bearer(self, order_id: str, token: str, *, edit: bool = False) -> Principal:
        """Do `admit` with a token that came another way, such as in a page's cookie."""
        guest = self.authority.guest(order_id, token)
        principal = self.authority.staff(token) or guest
        if principal is None:
            self.rate_limit.take(self.caller())
        if principal is None or not is_order_id(order_id):
            raise not_found()
        if edit:
            require_edit(principal)
            self.limit(principal)
        return principal

    def limit(self, principal: Principal) -> None:
        """Count a write: a customer's by order, a nameless guest's by address, staff's never."""
        if principal.kind == "guest" and self.rate_limit.active:
            anonymous = principal.name == "guest"
            self.rate_limit.take(self.caller() if anonymous else principal.name)

    def caller(self) -> str:
        """Return the address that the current request is counted under."""
        hops = self.limits.proxy_hops
        forwarded = header("x-forwarded-for") if hops else None
        return caller_address(request.remote_addr, forwarded, hops)

    async def render(
        self, order: Order, *, customer: Customer | None = None, address: Address | None = None
    ) -> OrderReply:
        """Render an order; what is not given is read from the vault."""
        refs = [
            ref
            for ref, given in ((order.customer_ref, customer), (order.address_ref, address))
            if given is None
        ]
        if refs:
            entry = await self.order_events.personal(order.id, *refs)
            customer, address = customer or entry.customer, address or entry.address
        return order_reply(order, customer, address)


def facts() -> Facts:
    """Return what is known of the current request."""
    return FACTS.get()


def header(name: str) -> str | None:
    """Return a header of the current request by its name in lower case, repetitions joined."""
    value = facts().headers.get(name.encode())
    return None if value is None else value.decode("latin-1")


def json_reply(
    reply: msgspec.Struct, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a JSON response that no cache may keep."""
    shown = {"Cache-Control": "no-store", **(headers or {})}
    return Response(_encode(reply), status, shown, content_type="application/json")
