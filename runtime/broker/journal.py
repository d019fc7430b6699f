"""Records <-> SQLite: what a broker must find again after a crash.

One row for each message in each queue; positions order them. `write` runs inside one transaction
for one batch, so a dead letter is in the old queue or in the new one, never in both or neither.
A message that came and went within a batch leaves no trace. Redelivery is not kept per message:
everything up to a queue's ``delivered_through`` has been out at least once; only queues with
priorities, where that says nothing, mark each message.
"""

import sqlite3
from collections.abc import Callable, Sequence
from typing import cast

import msgspec

from runtime.broker import records as facts
from runtime.broker import tables
from runtime.broker.arguments import QueueDeclaration
from runtime.broker.broker import Broker
from runtime.broker.entry import Entry
from runtime.broker.messages import Message
from runtime.broker.queue import Queue
from runtime.broker.routing import Binding, Exchange

MIGRATIONS = (
    """
    CREATE TABLE exchange (
        vhost TEXT NOT NULL, name TEXT NOT NULL, type TEXT NOT NULL, auto_delete INTEGER NOT NULL,
        internal INTEGER NOT NULL, arguments BLOB NOT NULL, PRIMARY KEY (vhost, name)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE queue (
        number INTEGER PRIMARY KEY, vhost TEXT NOT NULL, name TEXT NOT NULL,
        auto_delete INTEGER NOT NULL, arguments BLOB NOT NULL,
        delivered_through INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE binding (
        number INTEGER PRIMARY KEY, vhost TEXT NOT NULL, source TEXT NOT NULL, kind TEXT NOT NULL,
        destination TEXT NOT NULL, key TEXT NOT NULL, arguments BLOB NOT NULL,
        UNIQUE (vhost, source, kind, destination, key, arguments)
    ) STRICT;
    CREATE TABLE message (
        position INTEGER PRIMARY KEY, queue INTEGER NOT NULL, exchange TEXT NOT NULL,
        routing_key TEXT NOT NULL, header BLOB NOT NULL, body BLOB NOT NULL,
        expires_at_ms INTEGER, count INTEGER NOT NULL DEFAULT 0
    ) STRICT;
    """,
    """
    ALTER TABLE message ADD COLUMN hidden_keys BLOB NOT NULL DEFAULT x'';
    ALTER TABLE message ADD COLUMN delivered INTEGER NOT NULL DEFAULT 0;
    """,
)

_STORE = (
    "INSERT INTO message (position, queue, exchange, routing_key, header, body, expires_at_ms, "
    "hidden_keys) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
_REMOVE = "DELETE FROM message WHERE position = ?"
_COUNT = "UPDATE message SET count = ? WHERE position = ?"
_OUT = "UPDATE message SET delivered = 1 WHERE position = ?"
_THROUGH = "UPDATE queue SET delivered_through = ? WHERE number = ?"


class Snapshot(msgspec.Struct, frozen=True):
    """Everything the journal knows: rows in the order of their tables' columns."""

    exchanges: list[facts.ExchangeDeclared]
    queues: list[tuple[facts.QueueDeclared, int]]
    bindings: list[facts.Bound]
    messages: list[tuple[facts.Stored, int, bool]]


class _Messages:
    """What a batch does to messages, reduced to what is left of it at the end."""

    def __init__(self) -> None:
        self.stored: dict[int, facts.Stored] = {}
        self.removed: list[int] = []
        self.counts: dict[int, int] = {}
        self.out: dict[int, None] = {}
        self.delivered: dict[int, int] = {}

    def add(self, record: facts.Record) -> None:
        if isinstance(record, facts.Stored):
            self.stored[record.position] = record
        elif isinstance(record, facts.Removed):
            self.counts.pop(record.position, None)
            self.out.pop(record.position, None)
            if self.stored.pop(record.position, None) is None:
                self.removed.append(record.position)
        elif isinstance(record, facts.Counted):
            self.counts[record.position] = record.count
        elif isinstance(record, facts.Delivered):
            self.out[record.position] = None
        elif isinstance(record, facts.DeliveredThrough):
            self.delivered[record.queue] = record.position
        elif isinstance(record, facts.QueueDeleted):
            gone = [one.position for one in self.stored.values() if one.queue == record.number]
            for position in gone:
                del self.stored[position]

    def write(self, connection: sqlite3.Connection) -> None:
        parts: list[tuple[str, list[tuple[object, ...]]]] = [
            (_STORE, [msgspec.structs.astuple(one) for one in self.stored.values()]),
            (_REMOVE, [(position,) for position in self.removed]),
            (_COUNT, [(count, position) for position, count in self.counts.items()]),
            (_OUT, [(position,) for position in self.out]),
            (_THROUGH, [(position, queue) for queue, position in self.delivered.items()]),
        ]
        for sql, rows in parts:
            if rows:  # most batches have two of the five
                connection.executemany(sql, rows)


def write(connection: sqlite3.Connection, records: Sequence[facts.Record]) -> None:
    """Write one batch; the caller's transaction makes it durable."""
    messages = _Messages()
    for record in records:
        messages.add(record)
        write_one = _WRITERS.get(type(record))
        if write_one is not None:
            write_one(connection, record)
    messages.write(connection)


def _exchange_declared(connection: sqlite3.Connection, record: facts.Record) -> None:
    one = cast("facts.ExchangeDeclared", record)
    connection.execute(
        "INSERT OR REPLACE INTO exchange VALUES (?, ?, ?, ?, ?, ?)",
        (one.vhost, one.name, one.type, one.auto_delete, one.internal, one.arguments),
    )


def _exchange_deleted(connection: sqlite3.Connection, record: facts.Record) -> None:
    one = cast("facts.ExchangeDeleted", record)
    connection.execute("DELETE FROM exchange WHERE vhost = ? AND name = ?", (one.vhost, one.name))
    connection.execute("DELETE FROM binding WHERE vhost = ? AND source = ?", (one.vhost, one.name))


def _queue_declared(connection: sqlite3.Connection, record: facts.Record) -> None:
    one = cast("facts.QueueDeclared", record)
    connection.execute(
        "INSERT INTO queue (number, vhost, name, auto_delete, arguments) VALUES (?, ?, ?, ?, ?)",
        (one.number, one.vhost, one.name, one.auto_delete, one.arguments),
    )


def _queue_deleted(connection: sqlite3.Connection, record: facts.Record) -> None:
    one = cast("facts.QueueDeleted", record)
    connection.execute("DELETE FROM queue WHERE number = ?", (one.number,))
    connection.execute("DELETE FROM message WHERE queue = ?", (one.number,))
    connection.execute(
        "DELETE FROM binding WHERE vhost = ? AND kind = 'queue' AND destination = ?",
        (one.vhost, one.name),
    )


def _bound(connection: sqlite3.Connection, record: facts.Record) -> None:
    one = cast("facts.Bound", record)
    connection.execute(
        "INSERT OR IGNORE INTO binding (vhost, source, kind, destination, key, arguments) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        (one.vhost, *msgspec.structs.astuple(one.binding)),
    )


def _unbound(connection: sqlite3.Connection, record: facts.Record) -> None:
    one = cast("facts.Unbound", record)
    connection.execute(
        "DELETE FROM binding WHERE vhost = ? AND source = ? AND kind = ? AND destination = ? "
        "AND key = ? AND arguments = ?",
        (one.vhost, *msgspec.structs.astuple(one.binding)),
    )


_WRITERS: dict[type, Callable[[sqlite3.Connection, facts.Record], None]] = {
    facts.ExchangeDeclared: _exchange_declared,
    facts.ExchangeDeleted: _exchange_deleted,
    facts.QueueDeclared: _queue_declared,
    facts.QueueDeleted: _queue_deleted,
    facts.Bound: _bound,
    facts.Unbound: _unbound,
}


def load(connection: sqlite3.Connection) -> Snapshot:
    """Read everything, in the order in which it was made."""
    queues = connection.execute(
        "SELECT number, vhost, name, auto_delete, arguments, delivered_through FROM queue "
        "ORDER BY number"
    )
    messages = connection.execute(
        "SELECT position, queue, exchange, routing_key, header, body, expires_at_ms, hidden_keys, "
        "count, delivered FROM message ORDER BY position"
    )
    bindings = connection.execute(
        "SELECT vhost, source, kind, destination, key, arguments FROM binding ORDER BY number"
    )
    exchanges = connection.execute(
        "SELECT vhost, name, type, auto_delete, internal, arguments FROM exchange "
        "ORDER BY vhost, name"
    )
    return Snapshot(
        exchanges=[
            facts.ExchangeDeclared(vhost, name, type_, bool(auto_delete), bool(internal), arguments)
            for vhost, name, type_, auto_delete, internal, arguments in exchanges
        ],
        queues=[
            (facts.QueueDeclared(number, vhost, name, bool(auto_delete), arguments), through)
            for number, vhost, name, auto_delete, arguments, through in queues
        ],
        bindings=[facts.Bound(vhost, Binding(*rest)) for vhost, *rest in bindings],
        messages=[
            (facts.Stored(*stored), count, bool(delivered))
            for *stored, count, delivered in messages
        ],
    )


def restore(broker: Broker, snapshot: Snapshot) -> None:
    """Put a snapshot into a fresh broker. What was out when it ended is ready, as redelivered."""
    for exchange in snapshot.exchanges:
        vhost = broker.vhost(exchange.vhost)
        vhost.exchanges.by_name[exchange.name] = Exchange(
            exchange.name,
            exchange.type,
            durable=True,
            auto_delete=exchange.auto_delete,
            internal=exchange.internal,
            arguments=tables.entries(exchange.arguments),
        )
    by_number: dict[int, Queue] = {}
    for declared, delivered_through in snapshot.queues:
        by_number[declared.number] = _restore_queue(broker, declared, delivered_through)
    for bound in snapshot.bindings:
        vhost = broker.vhost(bound.vhost)
        vhost.exchanges.by_name[bound.binding.source].bind(bound.binding)
    for stored, count, delivered in snapshot.messages:
        broker.start_numbers_after(stored.position)
        queue = by_number[stored.queue]
        entry = _restored(broker, queue, stored)
        entry.count = count
        entry.delivered = delivered or stored.position <= queue.delivered_through
        queue.restore(entry)
    for queue in by_number.values():
        queue.expire()
    broker.settle()


def _restore_queue(broker: Broker, declared: facts.QueueDeclared, delivered_through: int) -> Queue:
    vhost = broker.vhost(declared.vhost)
    arguments = tables.entries(declared.arguments)
    declaration = QueueDeclaration(
        name=declared.name,
        durable=True,
        exclusive=False,
        auto_delete=declared.auto_delete,
        arguments=arguments,
    )
    queue = vhost.make_queue(declaration, declared.number)
    queue.delivered_through = delivered_through
    vhost.add_queue(queue)
    # A position may never be given twice, or a new message would pass for a redelivered one.
    broker.start_numbers_after(max(declared.number, delivered_through))
    return queue


def _restored(broker: Broker, queue: Queue, stored: facts.Stored) -> Entry:
    address = (stored.exchange, stored.routing_key)
    message = Message(*address, stored.header, stored.body, stored.hidden_keys)
    expires_at, lifetime_ms = None, queue.lifetime_ms(message)
    if stored.expires_at_ms is not None and lifetime_ms is not None:
        # A clock that was set back meanwhile must not keep it for longer than it was to wait.
        left_s = min(stored.expires_at_ms / 1000 - broker.wall(), lifetime_ms / 1000)
        expires_at = broker.now() + left_s
    return Entry(stored.position, message, expires_at)
