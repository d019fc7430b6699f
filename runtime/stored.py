"""A `Message` as two columns of a row: its properties as JSON, and its body as it is.

A row keeps every byte that goes to the broker, the timestamp too, so sending it twice sends the
same message.
"""

import msgspec

from runtime.message import HeaderValue, Message


class _Properties(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    message_id: str
    type: str
    correlation_id: str
    app_id: str
    timestamp: int
    content_type: str = "application/json"
    delivery_mode: int = 2
    headers: dict[str, HeaderValue] = {}


_decoder = msgspec.json.Decoder(_Properties)


def properties_of(message: Message) -> bytes:
    """Return everything but the body, as JSON."""
    return msgspec.json.encode(
        _Properties(
            message.message_id,
            message.type,
            message.correlation_id,
            message.app_id,
            message.timestamp,
            message.content_type,
            message.delivery_mode,
            message.headers,
        )
    )


def message_of(properties: bytes, body: bytes) -> Message:
    """Return the message that `properties_of` was given."""
    stored = _decoder.decode(properties)
    return Message(
        message_id=stored.message_id,
        type=stored.type,
        body=body,
        correlation_id=stored.correlation_id,
        app_id=stored.app_id,
        timestamp=stored.timestamp,
        content_type=stored.content_type,
        delivery_mode=stored.delivery_mode,
        headers=stored.headers,
    )
