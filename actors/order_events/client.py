"""The Order Event Service reached in the same process: asks for what writes, reads for the rest.

Reads see committed state only, and every write that was answered before. A write that is not
answered in time (`DeadlineExceeded`) may still be carried out: ask again with the same key or id.
"""

import sqlite3
from collections.abc import Callable
from functools import partial
from typing import TypeVar

import anyio

from actors.domain.events import Body, Event
from actors.domain.order import Order
from actors.domain.order_events import (
    Command,
    Intent,
    OrderQuery,
    OrderSummary,
    OrderWith,
    Personal,
    PersonalKind,
    Receipt,
    Recorded,
    Service,
    reference,
)
from actors.order_events import order_list, vault
from actors.order_events.deciding import COMMANDERS, Append, Execute, Replay, Request
from actors.order_events.erasure import erase
from actors.order_events.latest import Latest
from actors.order_events.stream import event_from, not_found, order_at
from actors.order_events.wakeups import ALL, Wakeups
from runtime import event_store, tracing
from runtime.actor import ActorRef
from runtime.database import Database
from runtime.errors import Rejection

EVENTS_MAX = 1000
WAIT_S_MAX = 30.0

T = TypeVar("T")


class LocalOrderEvents:
    """`OrderEvents` for one service of this process."""

    def __init__(
        self,
        ref: ActorRef[Request],
        database: Database,
        wakeups: Wakeups,
        latest: Latest,
        *,
        service: Service,
        deadline_s: float = 10.0,
    ) -> None:
        self._ref = ref
        self._database = database
        self._wakeups = wakeups
        self._latest = latest
        self._service = service
        self._deadline_s = deadline_s

    async def execute(self, command: Command, intent: Intent) -> Receipt:
        """Carry out a customer's command; see `OrderEvents.execute`.

        Rejections: those of the guard, ``version-mismatch`` (412), ``idempotency-key-reused`` and
        ``validation-failed`` (422), ``not-found``, ``forbidden``.
        """
        request = Execute(self._service, command, intent)
        receipt = await self._ref.ask(request, self._deadline_s)
        assert isinstance(receipt, Receipt), "a command is answered with a receipt"
        return receipt

    async def replay(self, intent: Intent) -> Receipt | None:
        """Return the answer that this intent got before; see `OrderEvents.replay`.

        Rejections: the one it got, ``idempotency-key-reused`` (422), ``forbidden``.
        """
        receipt = await self._ref.ask(Replay(self._service, intent), self._deadline_s)
        assert receipt is None or isinstance(receipt, Receipt), "commands leave receipts"
        return receipt

    async def append(
        self,
        order_id: str,
        event_id: str,
        body: Body,
        *,
        correlation_id: str,
        expected_version: int | None = None,
    ) -> Recorded:
        """Append this service's event; see `OrderEvents.append`.

        Rejections: those of the guard, ``event-id-conflict``, ``version-conflict``, ``not-found``,
        ``forbidden``. Raises `Unprocessable` for a body that its reader refuses.
        """
        request = Append(
            self._service,
            order_id,
            event_id,
            body,
            correlation_id,
            expected_version,
            tracing.current(),
            tracing.current_state(),
        )
        recorded = await self._ref.ask(request, self._deadline_s)
        assert isinstance(recorded, Recorded), "an event is answered with its record"
        return recorded

    async def order(
        self, order_id: str, *, at_version: int | None = None, at_ms: int | None = None
    ) -> Order:
        """Return the fold of committed events; Rejection(not-found) where it was not there."""
        if at_ms is None:
            order = self._latest.get(order_id, at_version)
            if order is not None:
                return order
        return await self._database.read(
            lambda connection: order_at(connection, order_id, at_version, at_ms)
        )

    async def events(
        self, order_id: str, *, after: int = 0, limit: int = 100, wait_s: float = 0.0
    ) -> list[Event]:
        """Return events after a version, at most `EVENTS_MAX`; wait at most `WAIT_S_MAX`."""
        query = partial(_events, order_id, after, _bounded(limit))
        is_in_vain = partial(self._has_no_more, order_id, after)
        return await self._look(order_id, query, wait_s, is_in_vain)

    async def all_events(
        self, *, after: int = 0, limit: int = 100, wait_s: float = 0.0
    ) -> list[Event]:
        """Return events of all orders after a position, ascending and without a gap."""
        return await self._look(ALL, partial(_all_events, after, _bounded(limit)), wait_s)

    async def personal(self, order_id: str, *refs: str) -> Personal:
        """Return vault entries; Rejection ``forbidden`` or ``not-found``."""
        kept = self._latest.personal(order_id, refs)
        if kept is not None:
            for entry in kept:
                vault.require_entitled(self._service, entry.kind)
            return vault.together([entry.personal for entry in kept])
        return await self._database.read(
            lambda connection: vault.read(connection, order_id, refs, self._service)
        )

    async def order_with(
        self, order_id: str, *kinds: PersonalKind, at_version: int | None = None
    ) -> OrderWith:
        """Return the order, and the vault's entries that it refers to then."""
        order = await self.order(order_id, at_version=at_version)
        refs = [reference(order, kind) for kind in kinds]
        return OrderWith(order, await self.personal(order_id, *refs))

    async def orders(self, query: OrderQuery) -> list[OrderSummary]:
        """Return at most ``limit`` (100 at most) rows of the order list."""
        return await self._database.read(partial(_orders, query))

    async def refunds_due(self) -> list[str]:
        """Return the orders whose refund obligation is open, oldest first."""
        return await self._database.read(order_list.refunds_due)

    async def erase(self, order_id: str) -> None:
        """Erase the personal data of a settled order; see `actors.order_events.erasure`."""
        if self._service not in COMMANDERS:
            message = f"The {self._service} service may not erase anything."
            raise Rejection("forbidden", message, status_hint=403)
        await erase(self._database, self._latest, order_id)

    def _has_no_more(self, order_id: str, version: int) -> bool:
        """Whether this is the order's latest version, as far as that is known without the store."""
        order = self._latest.get(order_id, None)
        return order is not None and order.version <= version

    async def _look(
        self,
        watched: str,
        query: Callable[[sqlite3.Connection], list[T]],
        wait_s: float,
        is_in_vain: Callable[[], bool] = lambda: False,
    ) -> list[T]:
        """Look, and where there is nothing, once more when something was committed.

        Whoever waits for the next event asks again and again: the store is not asked for what is
        known not to be there, nor at the end of a wait in which nothing has happened.
        """
        if wait_s <= 0:
            return await self._database.read(query)
        with self._wakeups.watch(watched) as committed:
            found = [] if is_in_vain() else await self._database.read(query)
            if found:
                return found
            with anyio.move_on_after(min(wait_s, WAIT_S_MAX)) as waited:
                await committed.wait()
            if waited.cancelled_caught:
                return []
        return await self._database.read(query)


def _events(order_id: str, after: int, limit: int, connection: sqlite3.Connection) -> list[Event]:
    stored = event_store.load_stream(connection, order_id, max(0, after), limit)
    if not stored and not event_store.version_of(connection, order_id):
        raise not_found()
    return [event_from(event) for event in stored]


def _all_events(after: int, limit: int, connection: sqlite3.Connection) -> list[Event]:
    return [event_from(event) for event in event_store.load_all(connection, after, limit)]


def _orders(query: OrderQuery, connection: sqlite3.Connection) -> list[OrderSummary]:
    return order_list.find(connection, query)


def _bounded(limit: int) -> int:
    return max(1, min(limit, EVENTS_MAX))
