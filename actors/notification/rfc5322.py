"""A mail as bytes: RFC 5322, with a text and an HTML alternative (RFC 2046, 5.1.4).

The same key always gives the same Message-ID and the same boundary, so that a second copy - where a
transport cannot exclude one - is recognised as the same mail, and so that a run can be repeated
byte for byte (the email package would draw the boundary at random).

A `Mail` has checked that its headers are single lines of visible ASCII and its recipient one
mailbox, so nothing is left to escape in them; bodies are quoted-printable (RFC 2045, 6.7). The
email package does the same ten times slower.
"""

from binascii import b2a_qp
from datetime import UTC, datetime
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP, compat32
from email.utils import format_datetime, parseaddr, parsedate_to_datetime
from functools import cache

from actors.domain.correspondence import MailShown
from actors.notification.mailer import Mail, is_one_mailbox
from runtime.host import Ids

SENDER = "Ordermill <orders@ordermill.invalid>"


def mail_bytes(key: str, mail: Mail, *, at_s: float, sender: str = SENDER) -> bytes:
    """Return the mail, its lines ended as in a file; ``at_s`` is the Unix time of its date."""
    boundary = f"=_{Ids.derived('part', key)}"  # RFC 2045, 6.7: no quoted-printable line holds "=_"
    headers = {
        "Message-ID": message_id(key, sender),
        "Date": format_datetime(datetime.fromtimestamp(int(at_s), UTC)),
        "From": sender,
        "To": mail.to,
        "Subject": mail.subject,
        "Auto-Submitted": "auto-generated",  # RFC 3834: nobody is away from office to us
        **mail.headers,
        "MIME-Version": "1.0",
        "Content-Type": f'multipart/alternative; boundary="{boundary}"',
    }
    head = "".join(f"{name}: {value}\n" for name, value in headers.items())
    mark = f"\n--{boundary}".encode()
    parts = (_part("plain", mail.text), _part("html", mail.html))
    return b"".join([head.encode(), *(mark + b"\n" + part for part in parts), mark, b"--\n"])


def _part(subtype: str, text: str) -> bytes:
    head = (
        f"Content-Type: text/{subtype}; charset=utf-8\nContent-Transfer-Encoding: quoted-printable"
    )
    return head.encode() + b"\n\n" + b2a_qp(text.encode(), istext=True)


def mail_shown(key: str, data: bytes) -> MailShown:
    """Read a mail of ours back.

    Its headers are single lines of ASCII, as they stand. The newer policies of the email package
    make a class for each look at a header, which is nine times as slow.
    """
    message = BytesParser(policy=compat32).parsebytes(data)
    texts = [part for part in message.walk() if part.get_content_type() == "text/plain"]
    text = texts[0].get_payload(decode=True) if texts else b""
    assert isinstance(text, bytes), "of one part, decoded"
    date = message["Date"]
    return MailShown(
        key=key,
        to=str(message["To"]),
        subject=str(message["Subject"]),
        at_ms=int(parsedate_to_datetime(date).timestamp() * 1000) if date is not None else 0,
        text=text.decode(errors="replace"),
    )


def sender_address(sender: str) -> str:
    """Return the address in ``sender``; ValueError unless it is exactly one mailbox.

    >>> sender_address("Shop <orders@shop.example>")
    'orders@shop.example'
    """
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    header = message["From"]
    if header.defects or len(header.addresses) != 1 or not sender.isascii():
        raise ValueError("not one mailbox")
    address: str = header.addresses[0].addr_spec
    if not is_one_mailbox(address):
        raise ValueError("not one mailbox")
    return address


def message_id(key: str, sender: str = SENDER) -> str:
    """Return the Message-ID of the mail with this key."""
    return f"<{Ids.derived('mail', key)}@{_domain(sender)}>"


@cache
def _domain(sender: str) -> str:
    return parseaddr(sender)[1].rpartition("@")[2]
