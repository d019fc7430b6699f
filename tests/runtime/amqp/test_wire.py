from datetime import UTC, datetime

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.header import ContentHeader

from runtime.amqp.wire import (
    death,
    decode_properties,
    encode_ack,
    encode_properties,
    encode_publish,
    properties_to_message,
    read_message,
    salvage,
)
from runtime.errors import Unprocessable
from runtime.message import Message

_TEXT = st.text(min_size=1, max_size=60).filter(lambda text: len(text.encode()) <= 255)
_HEADER = st.one_of(
    st.text(max_size=40), st.booleans(), st.integers(min_value=-(2**63), max_value=2**63 - 1)
)
MESSAGES = st.builds(
    Message,
    message_id=_TEXT,
    type=st.from_regex(r"[a-z]{1,20}/v[0-9]{1,3}", fullmatch=True),
    body=st.binary(max_size=300),
    correlation_id=_TEXT,
    app_id=_TEXT,
    # pamqp 4.0.1 takes anything above for milliseconds (year 2106).
    timestamp=st.integers(min_value=0, max_value=2**32 - 1),
    headers=st.dictionaries(st.text("abcdefg-", min_size=1, max_size=20), _HEADER, max_size=5),
)
ORDER = Message(
    message_id="evt_1",
    type="order-created/v1",
    body=b'{"a":1}',
    correlation_id="req_1",
    app_id="order-event-service",
    timestamp=1_700_000_000,
    headers={"x-requeued": True, "x-attempt": 3},
)


def _decoded(message: Message) -> commands.Basic.Properties:
    header = ContentHeader()
    header.unmarshal(bytes(12) + encode_properties(message))
    return header.properties


@given(MESSAGES)
def test_what_is_written_is_read_back_equal(message: Message) -> None:
    assert properties_to_message(_decoded(message), message.body) == message


@given(MESSAGES)
def test_our_bytes_are_those_of_the_library(message: Message) -> None:
    theirs = commands.Basic.Properties(
        content_type=message.content_type,
        headers=dict(message.headers) or None,
        delivery_mode=2,
        correlation_id=message.correlation_id,
        message_id=message.message_id,
        timestamp=datetime.fromtimestamp(message.timestamp, UTC),
        message_type=message.type,
        app_id=message.app_id,
    )
    assert encode_properties(message) == theirs.marshal()


@pytest.mark.parametrize("size", [0, 1, 92, 93, 200])
def test_a_publish_is_split_into_frames_that_fit(size: int) -> None:
    message = Message(**{**_fields(ORDER), "body": bytes(range(256))[:size]})
    data = encode_publish(7, "orders", "orders.order-created", message, frame_max=100)
    method, header, body = None, None, b""
    while data:
        used, channel, frame = pamqp.frame.unmarshal(data)
        assert channel == 7
        match frame:
            case commands.Basic.Publish():
                method = frame
            case ContentHeader():
                header = frame
            case _:
                assert used <= 100
                body += frame.value
        data = data[used:]
    assert method is not None
    assert method.mandatory
    assert (method.exchange, method.routing_key) == ("orders", "orders.order-created")
    assert header is not None
    assert header.body_size == size
    assert body == message.body


def test_an_ack_is_one_frame() -> None:
    for multiple in (False, True):
        theirs = commands.Basic.Ack(delivery_tag=513, multiple=multiple)
        assert encode_ack(3, 513, multiple) == pamqp.frame.marshal(theirs, 3)


@pytest.mark.parametrize(
    "missing", ["message_id", "message_type", "correlation_id", "app_id", "timestamp"]
)
def test_a_missing_property_is_malformed_and_the_rest_is_salvaged(missing: str) -> None:
    properties = _decoded(ORDER)
    setattr(properties, missing, None)
    with pytest.raises(Unprocessable, match="missing") as caught:
        properties_to_message(properties, b"x")
    assert caught.value.reason == "malformed"
    kept = salvage(properties, b"x", message_id="bad_1")
    assert kept.body == b"x"
    assert kept.message_id == ("bad_1" if missing == "message_id" else "evt_1")


def test_a_type_without_version_is_malformed() -> None:
    properties = _decoded(ORDER)
    properties.message_type = "order-created"
    with pytest.raises(Unprocessable, match="order-created"):
        properties_to_message(properties, b"")


def test_the_brokers_own_headers_are_not_ours_to_repeat() -> None:
    properties = _decoded(ORDER)
    properties.headers = {
        "x-death": [{"count": 1}],
        "x-first-death-reason": "delivery_limit",
        "x-attempt": 2,
        "nested": {"a": 1},
    }
    assert properties_to_message(properties, b"").headers == {"x-attempt": 2}
    assert death(properties) == "delivery_limit"


def test_a_text_that_fits_no_short_string_is_refused() -> None:
    long = Message(**{**_fields(ORDER), "correlation_id": "ü" * 128})
    with pytest.raises(Unprocessable, match="correlation_id has 256 bytes"):
        encode_properties(long)


def _fields(message: Message) -> dict[str, object]:
    return {name: getattr(message, name) for name in message.__struct_fields__}


@given(MESSAGES)
def test_the_fast_reader_reads_what_we_write_or_leaves_it(message: Message) -> None:
    fast = read_message(encode_properties(message), message.body)
    ints = any(type(value) is int for value in message.headers.values())
    assert fast == (None if ints else message)


def _either(raw: bytes) -> Message | None:
    """What the slow reader makes of it; None where it refuses."""
    try:
        return properties_to_message(decode_properties(raw), b"body")
    except Unprocessable:
        return None


@given(MESSAGES, st.data())
def test_whatever_arrives_the_fast_reader_agrees_with_the_slow_one(
    message: Message, data: st.DataObject
) -> None:
    raw = bytearray(encode_properties(message))
    for _ in range(data.draw(st.integers(0, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(raw[: data.draw(st.integers(0, len(raw)))])
    for damaged in (bytes(raw), cut):
        fast = read_message(damaged, b"body")
        assert fast is None or fast == _either(damaged)


@pytest.mark.parametrize("name", ["x-death", "x-first-death-reason", "x-delivery-count"])
def test_what_the_broker_has_touched_is_read_slowly(name: str) -> None:
    touched = Message(**{**_fields(ORDER), "headers": {name: "1"}})
    assert read_message(encode_properties(touched), b"") is None
