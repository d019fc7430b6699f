"""Orders out of their streams: events as the domain knows them, folds, and the writer's cache."""

import sqlite3
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial

from actors.domain.events import Event, decode_body
from actors.domain.order import Order, fold, fold_all
from runtime.errors import Rejection
from runtime.event_store import StoredEvent, load_stream
from runtime.transaction import Transaction

_PAGE = 1000


def event_from(stored: StoredEvent) -> Event:
    """Return the stored event as the domain's; `Unprocessable` where no reader knows it."""
    return Event(
        id=stored.event_id,
        order_id=stored.stream,
        version=stored.version,
        body=decode_body(stored.type, stored.schema_version, stored.data),
        correlation_id=stored.correlation_id,
        order_correlation=stored.stream_correlation,
        recorded_at_ms=stored.recorded_at_ms,
        position=stored.position,
    )


def events_of(connection: sqlite3.Connection, order_id: str) -> Iterator[Event]:
    """Yield all events of the order, in order."""
    page = load_stream(connection, order_id, 0, _PAGE)
    yield from map(event_from, page)
    while len(page) == _PAGE:
        page = load_stream(connection, order_id, page[-1].version, _PAGE)
        yield from map(event_from, page)


def order_at(
    connection: sqlite3.Connection,
    order_id: str,
    at_version: int | None = None,
    at_ms: int | None = None,
) -> Order:
    """Fold the order as it is, or as it was; Rejection(not-found) where it was not there (yet)."""
    order: Order | None = None
    for event in events_of(connection, order_id):
        if at_version is not None and event.version > at_version:
            break
        if at_ms is not None and event.recorded_at_ms > at_ms:
            break
        order = fold(order, event)
    if order is None or (at_version is not None and order.version < at_version):
        raise not_found()
    return order


def not_found() -> Rejection:
    """Return the refusal for an order that is not there."""
    return Rejection("not-found", "There is no such order.", status_hint=404)


class Folds:
    """The writer's cache of folded orders, staged ones too. It lives on the database's thread.

    Whatever a work changes here is dropped again if the work or its whole group is rolled back;
    the next look folds the order from the store.
    """

    def __init__(self, orders_max: int = 16_384) -> None:
        self._orders: OrderedDict[str, Order] = OrderedDict()
        self._orders_max = orders_max

    def __len__(self) -> int:
        return len(self._orders)

    def order(self, tx: Transaction, order_id: str) -> Order | None:
        """Return the order as of all that is committed and staged, None where there is none."""
        order = self._orders.get(order_id)
        if order is not None:
            self._orders.move_to_end(order_id)
            return order
        order = fold_all(events_of(tx.connection, order_id))
        if order is not None:
            self._put(tx, order)
        return order

    def advance(self, tx: Transaction, order: Order | None, event: Event) -> Order:
        """Fold one more event into the order that was looked up, and keep the result."""
        advanced = fold(order, event)
        self._put(tx, advanced)
        return advanced

    def _put(self, tx: Transaction, order: Order) -> None:
        tx.on_rollback(partial(self._drop, order.id))
        self._orders[order.id] = order
        self._orders.move_to_end(order.id)
        if len(self._orders) > self._orders_max:
            self._orders.popitem(last=False)

    def _drop(self, order_id: str) -> None:
        self._orders.pop(order_id, None)
