"""An event as JSON, for every API: the names are those of the AMQP properties.

``id`` is the message-id, ``type`` the message type, ``time`` the timestamp, in milliseconds here.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from actors.domain.events import Event, decode_body, encode_body
from runtime.errors import Unprocessable

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

Time = Annotated[datetime, msgspec.Meta(tz=True)]


class EventJson(msgspec.Struct, frozen=True, kw_only=True):
    """One event. ``published``: whether it goes to the broker, which its type decides."""

    id: str
    type: str
    order_id: str
    version: int
    position: int
    time: str
    app_id: str
    correlation_id: str
    order_correlation: str
    published: bool
    data: msgspec.Raw


def event_json(event: Event) -> EventJson:
    """Return what a client sees of an event."""
    row = event.type
    return EventJson(
        id=event.id,
        type=row.message_type,
        order_id=event.order_id,
        version=event.version,
        position=event.position,
        time=rfc3339(event.recorded_at_ms),
        app_id=row.app_id,
        correlation_id=event.correlation_id,
        order_correlation=event.order_correlation,
        published=row.exchange is not None,
        data=msgspec.Raw(encode_body(event.body)),
    )


def event_of(given: EventJson) -> Event:
    """Read the event back; `Unprocessable` for a type, version, time or body without a reader."""
    name, _, version = given.type.rpartition("/v")
    return Event(
        id=given.id,
        order_id=given.order_id,
        version=given.version,
        body=decode_body(name, int(version) if version.isdecimal() else 0, given.data),
        correlation_id=given.correlation_id,
        order_correlation=given.order_correlation,
        recorded_at_ms=unix_ms(given.time),
        position=given.position,
    )


def rfc3339(at_ms: int) -> str:
    """Return a Unix time in milliseconds as RFC 3339 in UTC.

    >>> rfc3339(1_700_000_000_042)
    '2023-11-14T22:13:20.042Z'
    """
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def unix_ms(text: str) -> int:
    """Return an RFC 3339 time as Unix time in milliseconds; `Unprocessable` where it is none.

    >>> unix_ms("2023-11-14T23:13:20.042+01:00")
    1700000000042
    """
    try:
        at = msgspec.convert(text, Time)
    except msgspec.ValidationError as error:
        raise Unprocessable("malformed", "not a time as in RFC 3339, with its zone") from error
    return (at - _EPOCH) // timedelta(milliseconds=1)
