"""A message that was stored is sent byte for byte as it was."""

from hypothesis import given
from hypothesis import strategies as st

from runtime.message import Message
from runtime.stored import message_of, properties_of

_text = st.text(max_size=20)
_headers = st.dictionaries(_text, _text | st.booleans() | st.integers(-(2**53), 2**53), max_size=4)


@given(
    st.builds(
        Message,
        message_id=_text,
        type=_text,
        body=st.binary(max_size=50),
        correlation_id=_text,
        app_id=_text,
        timestamp=st.integers(0, 2**40),
        content_type=_text,
        delivery_mode=st.sampled_from([1, 2]),
        headers=_headers,
    )
)
def test_a_message_comes_back_as_it_was(message: Message) -> None:
    back = message_of(properties_of(message), message.body)
    assert back == message
    assert [type(value) for value in back.headers.values()] == [
        type(value) for value in message.headers.values()
    ]
