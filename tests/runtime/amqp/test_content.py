import pytest
from pamqp import commands, frame
from pamqp.header import ContentHeader

from runtime.amqp.content import Content, short_text
from runtime.amqp.frames import BODY, HEADER, METHOD


def header(size: int) -> bytes:
    properties = commands.Basic.Properties(message_id="m")
    return frame.marshal(ContentHeader(body_size=size, properties=properties), 1)[7:-1]


def test_a_message_is_complete_with_its_last_byte() -> None:
    content = Content(body_max=10)
    assert not content.add(HEADER, header(5))
    assert not content.add(BODY, b"abc")
    assert content.add(BODY, b"de")
    assert (content.body, content.size, content.oversized) == (b"abcde", 5, False)
    assert content.properties == header(5)[12:]


def test_a_message_without_a_body_is_complete_with_its_header() -> None:
    content = Content(body_max=10)
    assert content.add(HEADER, header(0))
    assert content.body == b""


def test_a_message_that_is_too_long_is_counted_and_not_kept() -> None:
    content = Content(body_max=4)
    assert not content.add(HEADER, header(5))
    assert content.add(BODY, b"abcde")
    assert content.oversized
    assert content.body == b""


@pytest.mark.parametrize(
    "frames",
    [
        [(METHOD, b"")],
        [(BODY, b"a")],
        [(HEADER, b"\x00\x3d" + header(1)[2:])],
        [(HEADER, header(2)), (HEADER, header(2))],
        [(HEADER, header(2)), (METHOD, b"")],
        [(HEADER, header(2)), (BODY, b"abc")],
    ],
)
def test_a_gap_between_its_frames_breaks_the_protocol(frames: list[tuple[int, bytes]]) -> None:
    content = Content(body_max=10)
    *begun, (kind, payload) = frames
    for earlier in begun:
        content.add(*earlier)
    with pytest.raises(ValueError, match=r"expected|class"):
        content.add(kind, payload)


def test_a_short_text_ends_inside_its_frame() -> None:
    assert short_text(b"x\x03abcd", 1) == ("abc", 5)
    with pytest.raises(ValueError, match="longer"):
        short_text(b"\x05abc", 0)
