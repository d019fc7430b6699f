import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands, frame
from pamqp.body import ContentBody
from pamqp.heartbeat import Heartbeat

from runtime.amqp.frames import FRAME_MAX, METHOD, FrameReader

ACK = frame.marshal(commands.Basic.Ack(7), 1)
OTHER = frame.marshal(commands.Channel.CloseOk(), 1)
ELSEWHERE = frame.marshal(commands.Basic.Ack(9), 2)
PART = frame.marshal(ContentBody(b"x" * 40), 2)


class Channel:
    """Takes acks."""

    def __init__(self) -> None:
        self.taken: list[bytes] = []
        self.failure: Exception | None = None

    def take(self, kind: int, payload: bytes) -> bool:
        if self.failure is not None:
            raise self.failure
        if kind == METHOD and payload.startswith(b"\x00\x3c\x00\x50"):
            self.taken.append(payload)
            return True
        return False


async def rest_of(reader: FrameReader) -> bytes:
    """All that is left for aiormq."""
    reader.feed_eof()
    return await reader.read()


@given(
    st.lists(st.sampled_from([ACK, OTHER, ELSEWHERE, PART]), min_size=1, max_size=12),
    st.lists(st.integers(1, 30), min_size=1, max_size=40),
)
def test_however_the_bytes_arrive_each_frame_has_one_reader(
    frames: list[bytes], cuts: list[int]
) -> None:
    async def check() -> None:
        reader, channel = FrameReader(), Channel()
        reader.serve(1, channel)
        stream, turn = b"".join(frames), 0
        while stream:
            size = cuts[turn % len(cuts)]
            reader.feed_data(stream[:size])
            stream, turn = stream[size:], turn + 1
        passed = b"".join(one for one in frames if one != ACK)
        alive = frame.marshal(Heartbeat(), 0)
        assert (await rest_of(reader)).replace(alive, b"") == passed
        assert channel.taken == [ACK[7:-1]] * frames.count(ACK)

    anyio.run(check)


async def test_a_channel_that_is_served_no_more_gets_nothing() -> None:
    reader, channel = FrameReader(), Channel()
    reader.serve(1, channel)
    reader.serve(1, object())
    reader.feed_data(ACK)
    assert channel.taken == []
    assert await rest_of(reader) == ACK


async def test_the_library_sees_life_while_all_frames_are_taken() -> None:
    """Its watch would take the broker for dead after three heartbeats without a frame."""
    reader = FrameReader()
    reader.serve(1, Channel())
    for _ in range(50):
        reader.feed_data(ACK)
    assert await rest_of(reader) == frame.marshal(Heartbeat(), 0)


@pytest.mark.parametrize("broken", [ValueError("no"), IndexError("short")])
async def test_a_broken_protocol_ends_the_stream(broken: Exception) -> None:
    reader, channel = FrameReader(), Channel()
    reader.serve(1, channel)
    channel.failure = broken
    reader.feed_data(OTHER)
    with pytest.raises(ConnectionError, match="broke the protocol"):
        await reader.readexactly(1)


async def test_a_surprise_in_a_message_is_told_apart_from_a_broken_protocol() -> None:
    reader, channel = FrameReader(), Channel()
    reader.serve(1, channel)
    channel.failure = RuntimeError("a surprise")
    reader.feed_data(OTHER)
    with pytest.raises(RuntimeError, match="a surprise"):
        await reader.readexactly(1)


async def test_a_frame_that_is_too_long_is_not_waited_for() -> None:
    reader = FrameReader()
    head = b"\x03\x00\x01" + FRAME_MAX.to_bytes(4, "big")
    reader.feed_data(OTHER + head)
    assert await reader.readexactly(len(OTHER) + len(head)) == OTHER + head
    with pytest.raises(ConnectionError, match="were agreed"):
        await reader.readexactly(FRAME_MAX + 1)


async def test_a_greeting_that_is_no_frame_is_the_librarys() -> None:
    reader = FrameReader()
    reader.feed_data(b"AMQP\x00\x01\x00\x00")
    assert await rest_of(reader) == b"AMQP\x00\x01\x00\x00"
