"""Reads the whole log again and finds the first thing in it that cannot be true.

The law: it only reads, on a connection of its own, a page of orders in each read transaction, so it
may run beside the writer and on the file of a system that is stopped. What is checked of an order:

    stream     versions 1, 2, 3, ...; positions and times never decrease; one correlation
    schema     every body has a reader, and is stated by the service that may state it
    guards     every event was allowed after those before it (`actors.domain.rules`)
    list       its row equals the one made again from the events
    vault      every reference leads to a row (an erased one counts)
    outbox     every waiting message is, byte for byte, that of an event that is published

and of the log as a whole that no position is missing (an order taken out altogether leaves a gap),
and that the triggers are there which keep events as they are.
"""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from actors.domain import rules
from actors.domain.events import (
    EVENT_TYPES,
    Event,
    OrderCreated,
    PaymentUpdated,
    ShippingAddressUpdated,
)
from actors.domain.order import Order, fold
from actors.order_events import order_list
from actors.order_events.appending import message_from
from actors.order_events.schema import MIGRATIONS
from actors.order_events.stream import event_from
from runtime import inbox
from runtime.errors import ConfigurationError, EnvironmentUnready, Rejection, Unprocessable
from runtime.event_store import StoredEvent, event_by_id, load_streams
from runtime.outbox_rows import waiting
from runtime.publishing import Outgoing
from runtime.sqlite import set_up_reader

ORDERS_A_PAGE = 200
MESSAGES_A_PAGE = 500
KEEPERS = frozenset(("events_are_not_updated", "events_are_not_deleted"))


class Fault(Exception):
    """What is wrong, and where: an order and a version, or a table's row."""


class Verified(msgspec.Struct, frozen=True):
    """How much was found to be in order."""

    orders: int
    events: int
    pending: int


def open_read_only(path: Path) -> sqlite3.Connection:
    """Open an order store to read; `EnvironmentUnready` where there is none or it is not ours."""
    if not path.is_file():
        raise EnvironmentUnready(
            f"there is no order store at {path}", hint="name its folder with --data-dir"
        )
    uri = f"{path.absolute().as_uri()}?mode=ro"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        set_up_reader(connection)
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        readable = version == len(MIGRATIONS)
    except sqlite3.DatabaseError as error:
        connection.close()
        raise ConfigurationError(
            f"{path} cannot be read: {error}", hint="restore the file from a backup"
        ) from error
    if not readable:
        connection.close()
        raise ConfigurationError(
            f"{path} has schema version {version}, this program reads {len(MIGRATIONS)}",
            hint="older: ordermill store migrate; newer: use the program that wrote it",
        )
    return connection


def verify(
    connection: sqlite3.Connection, progress: Callable[[int], None] = lambda events: None
) -> Verified:
    """Check everything; ``progress`` is told the number of events so far. Raises `Fault`."""
    try:
        (text,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:  # so badly that SQLite does not get to its end
        text = str(error)
    if text != "ok":
        raise Fault(f"the file is damaged: {text}")
    orders = events = 0
    after = ""
    while True:
        with _Snapshot(connection):
            page = load_streams(connection, after, ORDERS_A_PAGE)
            for _, stored in page:
                _check_order(connection, stored)
                events += len(stored)
        progress(events)
        if not page:
            break
        orders += len(page)
        after = page[-1][0]
    pending = _check_outbox(connection)
    _check_strays(connection)
    _check_whole(connection)
    return Verified(orders, events, pending)


class _Snapshot:
    """One read transaction, so that the tables of an order are seen at one moment."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")


def _check_order(connection: sqlite3.Connection, stored: Sequence[StoredEvent]) -> None:
    order: Order | None = None
    before: StoredEvent | None = None
    for event in stored:
        _check_sequence(before, event)
        decoded = _decoded(event)
        _check_vault(connection, decoded)
        order = _folded(order, decoded)
        before = event
    assert order is not None, "a stream has events"
    if order_list.stored_row(connection, order.id) != order_list.row_of(order):
        raise Fault(f"{order.id}: its row in the order list is not what its events add up to")


def _check_sequence(before: StoredEvent | None, event: StoredEvent) -> None:
    version = 1 if before is None else before.version + 1
    if event.version != version:
        raise Fault(f"{event.stream}: version {version} is missing, {event.version} is there")
    if before is None:
        return
    if event.position <= before.position or event.recorded_at_ms < before.recorded_at_ms:
        raise Fault(f"{_name(event)}: is older than version {before.version}")
    if event.stream_correlation != before.stream_correlation:
        raise Fault(f"{_name(event)}: has another order correlation than version {before.version}")


def _decoded(event: StoredEvent) -> Event:
    try:
        decoded = event_from(event)
    except Unprocessable as error:
        raise Fault(f"{_name(event)}: {error}") from error
    if event.app_id != decoded.type.app_id:
        raise Fault(f"{_name(event)}: {event.app_id} may not state {event.type}")
    return decoded


def _folded(order: Order | None, event: Event) -> Order:
    name = f"{event.order_id} version {event.version} ({event.type.name})"
    try:
        rules.decide(order, event.body)
        return fold(order, event)
    except Rejection as refusal:
        raise Fault(f"{name}: the rules refuse it: {refusal.code}") from refusal


def _check_vault(connection: sqlite3.Connection, event: Event) -> None:
    for ref, kind in _references(event):
        found = connection.execute(
            "SELECT 1 FROM vault WHERE ref = ? AND order_id = ? AND kind = ?",
            (ref, event.order_id, kind),
        )
        if found.fetchone() is None:
            raise Fault(f"{event.order_id} version {event.version}: no {kind} in the vault: {ref}")


def _references(event: Event) -> Iterator[tuple[str, str]]:
    match event.body:
        case OrderCreated(customer_ref=customer, address_ref=address, payment=payment):
            yield from ((customer, "customer"), (address, "address"), (payment.ref, "payment"))
        case PaymentUpdated(payment=payment):
            yield payment.ref, "payment"
        case ShippingAddressUpdated(address_ref=address):
            yield address, "address"


def _check_outbox(connection: sqlite3.Connection) -> int:
    """Check what waits for the broker; return how much it is."""
    count = after = 0
    while True:
        with _Snapshot(connection):
            page = waiting(connection, after, MESSAGES_A_PAGE)
            for _, key, outgoing in page:
                _check_waiting(connection, key, outgoing)
        if not page:
            return count
        count += len(page)
        after = page[-1][0]


def _check_waiting(connection: sqlite3.Connection, key: str, outgoing: Outgoing) -> None:
    message = outgoing.message
    stored = event_by_id(connection, message.message_id)
    row = None if stored is None else EVENT_TYPES.get(stored.type)
    if stored is None or stored.stream != key or row is None or row.exchange is None:
        raise Fault(f"{key}: the outbox holds {message.message_id}, which is no event to publish")
    headers = {name: v for name, v in message.headers.items() if name != inbox.REPLAYED}
    if msgspec.structs.replace(message, headers=headers) != message_from(stored, row):
        raise Fault(f"{_name(stored)}: its message in the outbox says something else")
    # What is offered again goes to one service's queue, through the default exchange.
    place = (outgoing.exchange, outgoing.routing_key)
    if outgoing.exchange and place != (row.exchange, row.routing_key):
        raise Fault(f"{_name(stored)}: its message in the outbox goes to {outgoing.exchange}")


def _check_strays(connection: sqlite3.Connection) -> None:
    """Find rows of orders that have no event at all."""
    for table, column in (("order_list", "order_id"), ("outbox", "key"), ("vault", "order_id")):
        found = connection.execute(
            f"SELECT {column} FROM {table} WHERE NOT EXISTS"  # noqa: S608 - of constants
            f" (SELECT 1 FROM events WHERE stream = {table}.{column}) LIMIT 1"
        ).fetchone()
        if found is not None:
            raise Fault(f"{found[0]}: is in {table}, but has no events")


def _check_whole(connection: sqlite3.Connection) -> None:
    """Find what no single order shows: events that are missing, and a log that may be rewritten."""
    missing, last = connection.execute(
        "SELECT coalesce(max(position), 0) - count(*), max(position) FROM events"
    ).fetchone()
    if missing:
        raise Fault(f"{missing} of the positions 1 to {last} are missing: events were taken out")
    found = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'events'"
    )
    if absent := KEEPERS.difference(name for (name,) in found):
        raise Fault(f"events can be changed: the trigger {min(absent)} is gone")


def _name(event: StoredEvent) -> str:
    return f"{event.stream} version {event.version} ({event.type})"
