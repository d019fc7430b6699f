"""The one way into the log: event, outbox row and order-list row, in one transaction.

The body is encoded and read back before it counts, so nothing enters the log that could not be read
again. Whether it is published is the event table's word; every byte of the message is fixed here.
"""

from collections.abc import Callable
from functools import partial

import msgspec

from actors.domain.events import Body, Event, EventType, encode_body, encode_message
from actors.domain.order import Order
from actors.order_events import order_list
from actors.order_events.latest import Kept
from actors.order_events.stream import Folds, event_from
from runtime import event_store, outbox
from runtime.message import HeaderValue, Message
from runtime.staged import Statement
from runtime.tracing import TRACEPARENT, TRACESTATE
from runtime.transaction import Transaction

_NEXT_NUMBER = Statement("order_number", "UPDATE order_number SET next = ?")
ORDER_CORRELATION = "x-order-correlation"


class Origin(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """What led to an event: the request or message, and when it was decided."""

    correlation_id: str
    at_ms: int
    traceparent: str | None = None
    tracestate: str | None = None


class Log:
    """Appends for one writer.

    ``on_appended(order)``, ``on_kept(order id, reference, entry)`` and ``wake_relay()`` follow the
    commit.
    """

    def __init__(
        self,
        folds: Folds,
        on_appended: Callable[[Order], None],
        on_kept: Callable[[str, str, Kept], None],
        wake_relay: Callable[[], None],
    ) -> None:
        self.folds = folds
        self.on_kept = on_kept
        self._on_appended = on_appended
        self._wake_relay = wake_relay
        self._position: int | None = None
        self._number: int | None = None

    def append(
        self,
        tx: Transaction,
        order: Order | None,
        order_id: str,
        event_id: str,
        body: Body,
        row: EventType,
        origin: Origin,
    ) -> tuple[Event, Order]:
        """Append the event to the order as it was just looked up; guards have had their say.

        Raises `sqlite3.IntegrityError`, and changes nothing, where the id is taken (see
        `Transaction.write`); `Unprocessable` for a body that its own reader refuses.
        """
        began = origin.correlation_id if order is None else order.correlation_id
        version, latest_ms = (0, 0) if order is None else (order.version, order.updated_at_ms)
        stored = event_store.StoredEvent(
            position=self._next_position(tx),
            stream=order_id,
            version=version + 1,
            event_id=event_id,
            type=row.name,
            schema_version=row.schema_version,
            data=encode_body(body),
            app_id=row.app_id,
            correlation_id=origin.correlation_id,
            stream_correlation=began,
            recorded_at_ms=max(origin.at_ms, latest_ms),
            traceparent=origin.traceparent,
            tracestate=origin.tracestate,
        )
        event = event_from(stored)
        event_store.add(tx, stored)
        order = self.folds.advance(tx, order, event)
        order_list.put(tx, order)
        tx.on_commit(partial(self._on_appended, order))
        if row.exchange is not None:
            message = message_from(stored, row)
            outbox.enqueue(tx, order_id, row.exchange, row.routing_key, message)
            tx.on_commit(self._wake_relay)
        return event, order

    def next_number(self, tx: Transaction) -> int:
        """Return the number of a new order: they count up, one by one."""
        tx.on_rollback(self._forget)
        if self._number is None:
            (self._number,) = tx.connection.execute("SELECT next FROM order_number").fetchone()
        number: int = self._number
        self._number = number + 1
        tx.write(_NEXT_NUMBER, (self._number,))
        return number

    def _next_position(self, tx: Transaction) -> int:
        tx.on_rollback(self._forget)
        if self._position is None:
            self._position = event_store.last_position(tx.connection)
        self._position += 1
        return self._position

    def _forget(self) -> None:
        """Take the next position and number from the store again: nobody else writes them."""
        self._position = self._number = None


def message_from(stored: event_store.StoredEvent, row: EventType) -> Message:
    """Return the message that publishes a stored event: always the same bytes."""
    headers: dict[str, HeaderValue] = {ORDER_CORRELATION: stored.stream_correlation}
    if stored.traceparent is not None:
        headers[TRACEPARENT] = stored.traceparent
        if stored.tracestate is not None:
            headers[TRACESTATE] = stored.tracestate
    return Message(
        message_id=stored.event_id,
        type=row.message_type,
        body=encode_message(stored.stream, stored.version, stored.data),
        correlation_id=stored.correlation_id,
        app_id=stored.app_id,
        timestamp=stored.recorded_at_ms // 1000,
        headers=headers,
    )
