"""A bystander's reading of AMQP, compared with what the client library writes."""

import random
from datetime import UTC, datetime
from typing import Any

from pamqp import body, commands, frame, header

from sim.watch import frames
from sim.watch.frames import Reader

AT = datetime(2025, 6, 15, tzinfo=UTC)


def content(channel: int, payload: bytes, **properties: Any) -> bytes:
    told = commands.Basic.Properties(**properties)
    head = header.ContentHeader(0, len(payload), told)
    middle = len(payload) // 2
    parts = [payload[:middle], payload[middle:]] if payload else []
    bodies = [frame.marshal(body.ContentBody(part), channel) for part in parts]
    return b"".join([frame.marshal(head, channel), *bodies])


def test_methods_and_contents_are_read_however_the_bytes_are_cut() -> None:
    said = b"".join(
        [
            frames.GREETING,
            frame.marshal(commands.Basic.Qos(0, 17, False), 1),
            frame.marshal(commands.Basic.Consume(0, "payment", "tag-1"), 1),
            frame.marshal(commands.Basic.Publish(0, "orders", "orders.order-created"), 2),
            # another channel's frame in the midst of a content
            frame.marshal(commands.Basic.Ack(5, True), 1),
            content(2, b'{"order_id":"o"}', message_id="m1"),
            frame.marshal(commands.Basic.Publish(0, "", "payment.dead"), 2),
            content(2, b"", message_id="m2"),
        ]
    )
    rng = random.Random(1)
    for _ in range(50):
        reader, rest = Reader(), said
        found: list[frames.Frame] = []
        while rest:
            cut = rng.randrange(1, 40)
            found += list(reader.feed(rest[:cut]))
            rest = rest[cut:]
        qos, consume, ack, first, second = found
        assert (qos.channel, qos.method, qos.payload[4:6]) == (1, frames.QOS, b"\x00\x11")
        assert frames.short_texts(consume.payload, 2, 2) == ["payment", "tag-1"]
        assert frames.tag_and_bit(ack.payload) == (5, True)
        assert frames.short_texts(first.payload, 2, 2) == ["orders", "orders.order-created"]
        assert first.body == b'{"order_id":"o"}'
        assert (second.channel, second.body) == (2, b"")
        assert frames.properties(second.header) == {"message_id": "m2"}
        assert [frames.message_id(one.header) for one in (first, second)] == ["m1", "m2"]


def test_properties_and_headers_are_read() -> None:
    raw = content(
        1,
        b"x",
        content_type="application/json",
        headers={"x-attempt": 3, "x-requeued": True, "x-reason": "exhausted", "deep": {"a": 1}},
        delivery_mode=2,
        correlation_id="c",
        message_id="m",
        timestamp=AT,
        message_type="order-created/v1",
        app_id="order-event-service",
    )
    (found,) = Reader().feed(frame.marshal(commands.Basic.Publish(), 1) + raw)
    assert frames.message_id(found.header) == "m"
    told = frames.properties(found.header)
    headers = told.pop("headers")
    assert (headers["x-attempt"], headers["x-requeued"]) == (3, True)
    assert headers["x-reason"] == "exhausted"
    assert told == {
        "content_type": "application/json",
        "delivery_mode": 2,
        "correlation_id": "c",
        "message_id": "m",
        "timestamp": int(AT.timestamp()),
        "type": "order-created/v1",
        "app_id": "order-event-service",
    }
