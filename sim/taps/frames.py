"""AMQP bytes <-> frames, for somebody who reads along.

Frames are passed on as the very bytes that came; only what a tap adds or renumbers is made here.
"""

import struct
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import NamedTuple

from pamqp import commands, frame
from pamqp.base import Frame as Method

from sim.watch.frames import short_texts

METHOD, HEADER, BODY, HEARTBEAT = 1, 2, 3, 8
_START = struct.Struct(">BHI")
_TAG = struct.Struct(">QB")
_CONTENT = struct.Struct(">HHQ")
_HEADER_SIZE = 8
_BODY_MAX = 65_536

PUBLISH = commands.Basic.Publish.index
DELIVER = commands.Basic.Deliver.index
RETURN = commands.Basic.Return.index
GET_OK = commands.Basic.GetOk.index
ACK = commands.Basic.Ack.index
NACK = commands.Basic.Nack.index
REJECT = commands.Basic.Reject.index
CONSUME = commands.Basic.Consume.index
CONFIRM_SELECT = commands.Confirm.Select.index
CHANNEL_OPEN = commands.Channel.Open.index
CHANNEL_CLOSE_OK = commands.Channel.CloseOk.index
WITH_CONTENT = (PUBLISH, DELIVER, RETURN, GET_OK)


class Frame(NamedTuple):
    """One frame; ``code`` is the class and method number of a method, 0 for anything else."""

    kind: int
    channel: int
    code: int
    payload: bytes
    raw: bytes


class Reader:
    """Cuts one direction's bytes into frames; the eight bytes that open a connection pass as one.

    ``opens``: whether this direction begins with them (the client's does).
    """

    def __init__(self, *, opens: bool) -> None:
        self._buffer = b""
        self._opens = opens

    def take(self, data: bytes) -> Iterator[Frame]:
        """Yield every frame that is complete now."""
        buffer = self._buffer + data if self._buffer else data
        at = 0
        if self._opens and len(buffer) >= _HEADER_SIZE:
            self._opens, at = False, _HEADER_SIZE
            yield Frame(0, 0, 0, b"", buffer[:_HEADER_SIZE])
        while not self._opens and len(buffer) - at >= _START.size:
            kind, channel, size = _START.unpack_from(buffer, at)
            end = at + _START.size + size + 1
            if len(buffer) < end:
                break
            payload = buffer[at + _START.size : end - 1]
            code = int.from_bytes(payload[:4], "big") if kind == METHOD else 0
            yield Frame(kind, channel, code, payload, buffer[at:end])
            at = end
        self._buffer = buffer[at:]


def body_size(header: bytes) -> int:
    """Return the size that a content header announces."""
    size: int = _CONTENT.unpack_from(header)[2]
    return size


def delivery(read: Frame) -> tuple[str, int, str, str]:
    """Return the consumer, the tag, the exchange and the routing key of a delivery's method."""
    payload = read.payload
    at = 5 + payload[4]  # behind the consumer's tag, a short string
    (consumer,), (tag, _) = short_texts(payload, 4, 1), _TAG.unpack_from(payload, at)
    exchange, key = short_texts(payload, at + _TAG.size, 2)
    return consumer, tag, exchange, key


def tag_of(read: Frame) -> tuple[int, bool]:
    """Return the tag of an ack, nack or reject, and whether it is for all before it, too."""
    tag, bits = _TAG.unpack_from(read.payload, 4)
    return tag, bool(bits & 1) and read.code != REJECT


def method(channel: int, body: Method) -> bytes:
    """Return a method's frame."""
    return frame.marshal(body, channel)


def ack(channel: int, tag: int, *, multiple: bool = False) -> bytes:
    """Return a Basic.Ack, in either direction."""
    return method(channel, commands.Basic.Ack(tag, multiple))


def nack(channel: int, tag: int) -> bytes:
    """Return the broker's word that it did not take a publish."""
    return method(channel, commands.Basic.Nack(tag, False, False))


def requeue(channel: int, tag: int) -> bytes:
    """Return a consumer's word that it gives a delivery back."""
    return method(channel, commands.Basic.Reject(tag, True))


def cancel(channel: int, consumer: str) -> bytes:
    """Return a Basic.Cancel without an answer, in either direction."""
    return method(channel, commands.Basic.Cancel(consumer, True))


def returned(channel: int, exchange: str, key: str) -> bytes:
    """Return the method that begins a message's way back to its publisher."""
    return method(channel, commands.Basic.Return(312, "NO_ROUTE", exchange, key))


def blocked() -> Method:
    """Return the broker's word that it takes no publishes now."""
    return commands.Connection.Blocked("low on disk")


def unblocked() -> Method:
    """Return the broker's word that it takes publishes again."""
    return commands.Connection.Unblocked()


def purge(queue: str) -> Method:
    """Return an operator's word that a queue is to be emptied."""
    return commands.Queue.Purge(queue=queue, nowait=True)


def delete(queue: str) -> Method:
    """Return an operator's word that a queue is to go."""
    return commands.Queue.Delete(queue=queue, nowait=True)


def retagged(delivery: Frame, tag: int) -> bytes:
    """Return the frame of a delivery's method with another tag."""
    payload = delivery.payload
    at = 5 + payload[4]  # behind the consumer's tag, a short string
    return _framed(
        METHOD, delivery.channel, payload[:at] + tag.to_bytes(8, "big") + payload[at + 8 :]
    )


def content(
    channel: int, message_id: str | None, type_: str, timestamp: datetime, body: bytes
) -> bytes:
    """Return the header and body frames of a persistent message of somebody's."""
    properties = commands.Basic.Properties(
        content_type="application/json",
        delivery_mode=2,
        message_id=message_id,
        message_type=type_,
        correlation_id="somebody",
        app_id="somebody",
        timestamp=timestamp,
    )
    header = _CONTENT.pack(60, 0, len(body)) + properties.marshal()
    parts = [_framed(HEADER, channel, header)]
    parts += [
        _framed(BODY, channel, body[start : start + _BODY_MAX])
        for start in range(0, len(body), _BODY_MAX)
    ]
    return b"".join(parts)


def on_channel(channel: int, content_frames: Sequence[Frame]) -> bytes:
    """Return a content's frames as they are, but on this channel."""
    return b"".join(_framed(one.kind, channel, one.payload) for one in content_frames)


def _framed(kind: int, channel: int, payload: bytes) -> bytes:
    return _START.pack(kind, channel, len(payload)) + payload + b"\xce"
