"""Whatever bytes a client sends, the core answers or hangs up; it never raises."""

import struct

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.header import ContentHeader

from tests.runtime.broker.conformance.targets import Moment
from tests.runtime.broker.test_broker import Client, make_broker

PROPERTIES = commands.Basic.Properties(
    content_type="application/json",
    headers={"x-death": [{"queue": "q", "reason": "expired", "count": 1}], "n": {"m": [1, "x"]}},
    delivery_mode=2,
    expiration="100",
    message_id="id",
)
ARGUMENTS = {"x-message-ttl": 1000, "x-dead-letter-exchange": "", "x-dead-letter-routing-key": "q"}
PARTS = (
    commands.Confirm.Select(),
    commands.Exchange.Declare(0, "h", "headers"),
    commands.Queue.Declare(0, "q", arguments=ARGUMENTS),
    commands.Queue.Bind(0, "q", "h", "k", arguments={"x-match": "any", "n": 1}),
    commands.Basic.Publish(0, "h", "k"),
    ContentHeader(0, 4, PROPERTIES),
    ContentBody(b"body"),
    commands.Basic.Publish(0, "", "q"),
    ContentHeader(0, 4, PROPERTIES),
    ContentBody(b"body"),
    commands.Basic.Consume(0, "q", "c"),
    commands.Basic.Get(0, "q"),
    commands.Basic.Nack(1, True, False),
    commands.Basic.Recover(True),
    commands.Queue.Delete(0, "q"),
)
SCRIPT = b"".join(frame.marshal(part, 1) for part in PARTS)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.tuples(st.integers(0, len(SCRIPT) - 1), st.integers(0, 255)), max_size=6))
@example([])
def test_changed_bytes(changes: list[tuple[int, int]]) -> None:
    script = bytearray(SCRIPT)
    for position, value in changes:
        script[position] = value
    clock = Moment()
    broker = make_broker(clock, journalled=True)
    client = Client(broker)
    client.feed(bytes(script))
    clock.time += 5
    broker.run_timers()
    broker.disconnected(client.connection)


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(commands.INDEX_MAPPING)), st.binary(max_size=60), st.integers(0, 2))
def test_methods_with_random_fields(index: int, fields: bytes, channel: int) -> None:
    broker = make_broker(Moment(), journalled=True)
    client = Client(broker)
    payload = struct.pack(">I", index) + fields
    client.feed(struct.pack(">BHI", 1, channel, len(payload)) + payload + b"\xce")
    broker.disconnected(client.connection)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60))
def test_random_content_headers(header: bytes) -> None:
    broker = make_broker(Moment(), journalled=True)
    client = Client(broker)
    publish = frame.marshal(commands.Basic.Publish(0, "", "q"), 1)
    payload = struct.pack(">HHQ", 60, 0, 0) + header
    client.feed(publish + struct.pack(">BHI", 2, 1, len(payload)) + payload + b"\xce")
    broker.disconnected(client.connection)
