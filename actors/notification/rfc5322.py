"""A mail as bytes: RFC 5322, with a text and an HTML alternative (RFC 2046, 5.1.4).

The same key always gives the same Message-ID and the same boundary, so that a second copy - where a
transport cannot exclude one - is recognised as the same mail, and so that a run can be repeated
byte for byte (the email package would draw the boundary at random).

A `Mail` has checked that its headers are single lines of visible ASCII and its recipient one
mailbox. So the package's classes that write headers as they are do here: those that parse each
header again take three times as long (1.4 ms a mail).
"""

from datetime import UTC, datetime
from email.charset import QP, Charset
from email.message import EmailMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP
from email.utils import format_datetime, parseaddr

from actors.notification.mailer import Mail, is_one_mailbox
from runtime.host import Ids

SENDER = "Ordermill <orders@ordermill.invalid>"
_UTF8 = Charset("utf-8")
_UTF8.body_encoding = QP


def mail_bytes(key: str, mail: Mail, *, at_s: float, sender: str = SENDER) -> bytes:
    """Return the mail, its lines ended as in a file; ``at_s`` is the Unix time of its date."""
    message = MIMEMultipart("alternative", boundary=Ids.derived("part", key))
    message["Message-ID"] = message_id(key, sender)
    message["Date"] = format_datetime(datetime.fromtimestamp(int(at_s), UTC))
    message["From"] = sender
    message["To"] = mail.to
    message["Subject"] = mail.subject
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody is away from office to us
    for name, value in mail.headers.items():
        message[name] = value
    message.attach(MIMEText(mail.text, "plain", _UTF8))  # type: ignore[arg-type]  # typeshed: str only
    message.attach(MIMEText(mail.html, "html", _UTF8))  # type: ignore[arg-type]
    return message.as_bytes()


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
    domain = parseaddr(sender)[1].rpartition("@")[2]
    return f"<{Ids.derived('mail', key)}@{domain}>"
