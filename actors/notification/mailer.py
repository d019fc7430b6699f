"""What the notification service needs of whoever carries mail, as a port.

The law for whoever stands behind it: one key, one mail, for ever. `Unavailable` - it may have gone
out, try the same key again; `Unprocessable` - it never will, for a person to look at. A transport
that cannot keep the law where it is killed or cut off gives the second copy the same Message-ID.
"""

import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from typing import Protocol

import msgspec

from runtime.errors import Unprocessable

ADDRESS_BYTES_MAX = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets
# What nearly all addresses are: no parser is needed to see that it is just one.
PLAIN_MAILBOX = re.compile(
    r"[A-Za-z0-9_+-]+(?:\.[A-Za-z0-9_+-]+)*@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
)
_HEADER_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HEADER_VALUE = re.compile(r"[ -~]{1,200}")


class Mail(msgspec.Struct, frozen=True):
    """One mail to one recipient. ``subject`` and ``headers`` hold no text that a customer typed.

    Making one raises `Unprocessable` (bad-mail) where a header would not be just one header, or
    the recipient not just one mailbox.
    """

    to: str
    subject: str
    text: str
    html: str
    headers: dict[str, str] = {}

    def __post_init__(self) -> None:
        if len(self.to.encode()) > ADDRESS_BYTES_MAX or not is_one_mailbox(self.to):
            raise Unprocessable("bad-mail", "the recipient is not one mailbox")
        named = all(_HEADER_NAME.fullmatch(name) for name in self.headers)
        values = (self.subject, *self.headers.values())
        if not named or not all(_HEADER_VALUE.fullmatch(value) for value in values):
            raise Unprocessable("bad-mail", "a header is not one line of visible ASCII")


class Mailer(Protocol):
    """Carries mails. Times out by itself: no call waits for ever."""

    async def send(self, key: str, mail: Mail, *, again: bool = True) -> None:
        """Send the mail, unless one was sent with this key.

        ``again`` False says that nobody has tried before, so there is nothing to look for.
        """
        ...

    async def erase(self, key: str) -> None:
        """Remove the mail that was sent with this key from everything that is ours."""
        ...


def is_one_mailbox(text: str) -> bool:
    """Whether it is one address and nothing else: no name, no list, no comment (RFC 5322, 3.4.1).

    >>> is_one_mailbox("ada@example.org"), is_one_mailbox("ada@example.org,eve@example.org")
    (True, False)
    """
    if PLAIN_MAILBOX.fullmatch(text):
        return True
    try:
        parsed = Address(addr_spec=text)
    except (HeaderParseError, ValueError, IndexError):
        return False
    return text.isascii() and text.isprintable() and parsed.addr_spec == text and "@" in text
