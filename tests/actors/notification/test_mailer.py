import doctest
from email.headerregistry import Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.notification import mailer
from actors.notification.mailer import Mail
from actors.notification.rfc5322 import mail_bytes
from runtime.errors import Unprocessable
from tests.actors.notification.parties import parsed


def test_its_examples_are_true() -> None:
    assert doctest.testmod(mailer) == doctest.TestResults(0, 1)


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ada",
        "ada@example.org,eve@example.org",
        "ada@example.org, eve@example.org",
        "ada@example.org;eve@example.org",
        "Ada <ada@example.org>",
        "<ada@example.org>",
        "ada@example.org (Ada)",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nBcc: eve@example.org",
        "ada@example.org\n",
        " ada@example.org",
        "group: ada@example.org;",
        "adä@example.org",
        "a" * 250 + "@b.de",
    ],
)
def test_a_recipient_is_exactly_one_mailbox(to: str) -> None:
    with pytest.raises(Unprocessable):
        Mail(to, "Hello", "", "")


@given(st.from_regex(mailer.PLAIN_MAILBOX, fullmatch=True))
def test_what_needs_no_parser_is_one_mailbox_to_the_parser_too(text: str) -> None:
    assert Address(addr_spec=text).addr_spec == text


@pytest.mark.parametrize(
    "subject", ["", "a\r\nBcc: eve@example.org", "a\nb", "a\x00", "grüße", "a" * 201]
)
def test_a_subject_is_one_plain_line(subject: str) -> None:
    with pytest.raises(Unprocessable):
        Mail("ada@example.org", subject, "", "")


@pytest.mark.parametrize(
    ("name", "value"),
    [("X-A\r\nB", "c"), ("X A", "c"), ("", "c"), ("X-A", "c\nBcc: d"), ("X-A", "")],
)
def test_a_header_is_one_plain_line(name: str, value: str) -> None:
    with pytest.raises(Unprocessable):
        Mail("ada@example.org", "Hello", "", "", {name: value})


@given(text=st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])), html=st.text())
def test_no_body_can_add_a_header_or_a_part(text: str, html: str) -> None:
    try:
        html.encode()
    except UnicodeEncodeError:
        return
    mail = Mail("ada@example.org", "Hello", f"{text}\n--part_x\nBcc: e@f.org\n", html)
    message = parsed(mail_bytes("key-1", mail, at_s=0))
    assert [part.get_content_type() for part in message.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert message["Bcc"] is None
    plain = message.get_body(("plain",))
    assert plain is not None
    assert text in plain.get_content().replace("\r\n", "\n")
