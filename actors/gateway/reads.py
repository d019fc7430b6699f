"""Reading orders: one, as it is or was; its history; the list for operators."""

import re

import msgspec
from quart import Response, request

from actors.domain.event_json import event_json
from actors.domain.order import Order
from actors.domain.order_events import OrderQuery, OrderSummary
from actors.gateway import parameters
from actors.gateway.auth import bearer, require_staff, unauthorized
from actors.gateway.context import Gateway, header, json_reply
from actors.gateway.preconditions import etag, is_unchanged
from actors.gateway.replies import EventsReply, OrdersReply, summary_reply

PAGE_MAX = 100
_VERSION = re.compile("[0-9]{1,9}")


class Reads:
    """Handlers that change nothing."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def order(self, order_id: str) -> Response:
        """Answer with an order, or with 304 where the client has this version already."""
        self._gateway.admit(order_id)
        order = await self._order(order_id)
        tag = etag(order.version)
        if is_unchanged(header("if-none-match"), tag):
            return Response(b"", 304, {"ETag": tag, "Cache-Control": "no-store"})
        return json_reply(await self._gateway.render(order), headers={"ETag": tag})

    async def _order(self, order_id: str) -> Order:
        at = request.args.get("at")
        if at is None:
            return await self._gateway.order_events.order(order_id)
        if _VERSION.fullmatch(at):
            version = parameters.whole("at", at, least=1)
            return await self._gateway.order_events.order(order_id, at_version=version)
        at_ms = parameters.time_ms("at", at)
        return await self._gateway.order_events.order(order_id, at_ms=at_ms)

    async def events(self, order_id: str) -> Response:
        """Answer with a page of the order's history."""
        self._gateway.admit(order_id)
        after = parameters.whole("after", request.args.get("after", "0"))
        limit = _limit(PAGE_MAX)
        events = await self._gateway.order_events.events(order_id, after=after, limit=limit)
        return json_reply(EventsReply([event_json(event) for event in events]))

    async def orders(self) -> Response:
        """Answer with a page of the order list; operators and viewers only."""
        token = bearer(header("authorization"))
        if token is None:
            raise unauthorized("A bearer token is needed: an operator's or a viewer's.")
        require_staff(self._gateway.authority.known(token))
        query = _order_query()
        rows = await self._gateway.order_events.orders(query)
        more = len(rows) == query.limit and await self._any_before(query, rows[-1].number)
        cursor = str(rows[-1].number) if more else None
        return json_reply(OrdersReply([summary_reply(row) for row in rows], cursor, more))

    async def _any_before(self, query: OrderQuery, number: int) -> bool:
        following: list[OrderSummary] = await self._gateway.order_events.orders(
            msgspec.structs.replace(query, before=number, limit=1)
        )
        return bool(following)


def _order_query() -> OrderQuery:
    arguments = request.args
    since, cursor = arguments.get("since"), arguments.get("cursor")
    return OrderQuery(
        status=parameters.status("status", arguments.get("status")),
        email=arguments.get("email"),
        since_ms=None if since is None else parameters.time_ms("since", since),
        before=None if cursor is None else parameters.whole("cursor", cursor, least=1),
        limit=_limit(50),
    )


def _limit(default: int) -> int:
    return parameters.whole("limit", request.args.get("limit", str(default)), 1, PAGE_MAX)
