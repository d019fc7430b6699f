"""Append-only streams of events, as functions inside a transaction of `runtime.database`.

A stream's versions are 1, 2, 3, ... without a gap, and its times never decrease. Appending is
idempotent by event id, so a caller that does not know whether its append was committed repeats it.
Nothing here decides whether an event is allowed: guards are the caller's, in the same transaction.
"""

import sqlite3
from collections.abc import Iterable

import msgspec

from runtime.errors import Rejection
from runtime.staged import Statement
from runtime.transaction import Transaction

SCHEMA = """
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL CHECK (version > 0),
    type TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    data BLOB NOT NULL,
    app_id TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    stream_correlation TEXT NOT NULL,
    traceparent TEXT,
    recorded_at_ms INTEGER NOT NULL,
    UNIQUE (stream, version)
) STRICT;
CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'events are append-only'); END;
"""
TRACESTATE = "ALTER TABLE events ADD COLUMN tracestate TEXT;"
"""To be added to `SCHEMA`."""

_SELECT = (
    "SELECT position, stream, version, event_id, type, schema_version, data, app_id,"
    " correlation_id, stream_correlation, recorded_at_ms, traceparent, tracestate FROM events"
)
_ADD = Statement(
    "events",
    "INSERT INTO events (position, stream, version, event_id, type, schema_version, data, app_id,"
    " correlation_id, stream_correlation, recorded_at_ms, traceparent, tracestate)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
)


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event to append. ``data`` is JSON; equal bytes mean an equal event.

    ``correlation_id`` names the request or message that led to it, ``stream_correlation`` the one
    that began the stream; ``traceparent`` and ``tracestate`` are W3C Trace Context.
    """

    stream: str
    event_id: str
    type: str
    schema_version: int
    data: bytes
    app_id: str
    correlation_id: str
    stream_correlation: str
    traceparent: str | None = None
    tracestate: str | None = None


class StoredEvent(msgspec.Struct, frozen=True, gc=False):
    """An event as the log holds it. ``position`` orders all streams, ``version`` its own."""

    position: int
    stream: str
    version: int
    event_id: str
    type: str
    schema_version: int
    data: bytes
    app_id: str
    correlation_id: str
    stream_correlation: str
    recorded_at_ms: int
    traceparent: str | None
    tracestate: str | None


class Appended(msgspec.Struct, frozen=True):
    """The stored event; ``replayed`` where the same event was there before."""

    event: StoredEvent
    replayed: bool


def append(
    tx: Transaction, event: NewEvent, recorded_at_ms: int, *, expected_version: int | None = None
) -> Appended:
    """Append ``event`` as the next version of its stream, or return the original of a repetition.

    The same event is one with the same id, stream, type, schema version and data. The look-up by
    id comes first, so a repetition succeeds whatever ``expected_version`` says. A clock that went
    back is pulled up to the stream's latest time. Raises `Rejection`: ``event-id-conflict`` (the id
    was used for something else), ``version-conflict`` (details: ``current_version``).
    """
    original = event_by_id(tx.connection, event.event_id)
    if original is not None:
        return _repeated(original, event)
    version, latest_ms = _head(tx.connection, event.stream)
    if expected_version is not None and expected_version != version:
        raise Rejection(
            "version-conflict",
            f"{event.stream} is at version {version}, not {expected_version}",
            details={"current_version": version, "expected_version": expected_version},
        )
    stored = StoredEvent(
        position=last_position(tx.connection) + 1,
        stream=event.stream,
        version=version + 1,
        event_id=event.event_id,
        type=event.type,
        schema_version=event.schema_version,
        data=event.data,
        app_id=event.app_id,
        correlation_id=event.correlation_id,
        stream_correlation=event.stream_correlation,
        recorded_at_ms=max(recorded_at_ms, latest_ms),
        traceparent=event.traceparent,
        tracestate=event.tracestate,
    )
    add(tx, stored)
    return Appended(stored, replayed=False)


def _repeated(original: StoredEvent, event: NewEvent) -> Appended:
    same = (
        original.stream == event.stream
        and original.type == event.type
        and original.schema_version == event.schema_version
        and original.data == event.data
    )
    if not same:
        raise Rejection(
            "event-id-conflict",
            f"event id {event.event_id} was already used for something else",
            details={"event_id": event.event_id, "current_version": original.version},
        )
    return Appended(original, replayed=True)


def add(tx: Transaction, event: StoredEvent) -> None:
    """Append ``event`` as it is, for who knows the stream and the last position.

    What is taken, id, version or position, is refused as `Transaction.write` says, and nothing is
    changed: who has not looked for the id looks then.
    """
    tx.write(
        _ADD,
        (
            event.position,
            event.stream,
            event.version,
            event.event_id,
            event.type,
            event.schema_version,
            event.data,
            event.app_id,
            event.correlation_id,
            event.stream_correlation,
            event.recorded_at_ms,
            event.traceparent,
            event.tracestate,
        ),
    )


def version_of(connection: sqlite3.Connection, stream: str) -> int:
    """Return the stream's latest version, 0 where it is empty."""
    return _head(connection, stream)[0]


def _head(connection: sqlite3.Connection, stream: str) -> tuple[int, int]:
    row = connection.execute(
        "SELECT version, recorded_at_ms FROM events WHERE stream = ? ORDER BY version DESC LIMIT 1",
        (stream,),
    ).fetchone()
    return row or (0, 0)


def load_stream(
    connection: sqlite3.Connection, stream: str, after: int = 0, limit: int = 1000
) -> list[StoredEvent]:
    """Return at most ``limit`` events with a version above ``after``, ascending."""
    rows = connection.execute(
        f"{_SELECT} WHERE stream = ? AND version > ? ORDER BY version LIMIT ?",
        (stream, after, limit),
    )
    events = [StoredEvent(*row) for row in rows]
    for version, event in enumerate(events, after + 1):
        assert event.version == version, f"{stream} has a gap before version {event.version}"
    return events


def event_by_id(connection: sqlite3.Connection, event_id: str) -> StoredEvent | None:
    """Return the event with this id, if there is one."""
    row = connection.execute(f"{_SELECT} WHERE event_id = ?", (event_id,)).fetchone()
    return None if row is None else StoredEvent(*row)


def load_all(
    connection: sqlite3.Connection, after_position: int = 0, limit: int = 1000
) -> list[StoredEvent]:
    """Return at most ``limit`` events of all streams after this position, ascending.

    There is one writer, so a position that is visible never gets a smaller one after it.
    """
    rows = connection.execute(
        f"{_SELECT} WHERE position > ? ORDER BY position LIMIT ?", (after_position, limit)
    )
    return [StoredEvent(*row) for row in rows]


def events_at(connection: sqlite3.Connection, positions: Iterable[int]) -> list[StoredEvent]:
    """Return the events at these positions, in the order given; those that are not there, not."""
    query = f"{_SELECT} WHERE position = ?"
    rows = [connection.execute(query, (position,)).fetchone() for position in positions]
    return [StoredEvent(*row) for row in rows if row is not None]


def load_streams(
    connection: sqlite3.Connection, after: str, streams_max: int
) -> list[tuple[str, list[StoredEvent]]]:
    """Return the next streams by name after ``after``, each with all events as they are stored.

    Nothing is assumed of them: this is for who verifies the log.
    """
    names = connection.execute(
        "SELECT DISTINCT stream FROM events WHERE stream > ? ORDER BY stream LIMIT ?",
        (after, streams_max),
    ).fetchall()
    by_version = f"{_SELECT} WHERE stream = ? ORDER BY version"
    return [
        (name, [StoredEvent(*row) for row in connection.execute(by_version, (name,))])
        for (name,) in names
    ]


def last_position(connection: sqlite3.Connection) -> int:
    """Return the position of the latest event of all, 0 where there is none."""
    (position,) = connection.execute("SELECT max(position) FROM events").fetchone()
    return position or 0


def find_faults(connection: sqlite3.Connection, limit: int = 100) -> list[str]:
    """Verify the file and the laws of every stream; return what is wrong, empty if nothing is.

    It reads the whole log: seconds for a million events.
    """
    checked = connection.execute(f"PRAGMA integrity_check({int(limit)})")
    faults = [text for (text,) in checked if text != "ok"]
    gaps = "SELECT stream FROM events GROUP BY stream HAVING max(version) <> count(*) LIMIT ?"
    faults += [f"{stream}: versions have a gap" for (stream,) in connection.execute(gaps, (limit,))]
    order = connection.execute(
        "SELECT later.stream, later.version FROM events AS later JOIN events AS earlier"
        " ON earlier.stream = later.stream AND earlier.version = later.version - 1"
        " WHERE later.position <= earlier.position"
        " OR later.recorded_at_ms < earlier.recorded_at_ms LIMIT ?",
        (limit,),
    )
    faults += [
        f"{stream}: version {version} is older than its predecessor" for stream, version in order
    ]
    return faults
