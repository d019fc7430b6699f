"""What one may ask of the notification service: which mails there were, and to mail a link."""

from typing import Annotated, Literal, Protocol

import msgspec

LinkUrl = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=r"^https?://[!-~]+$")]
"""Where the link leads, as it will stand in the mail."""


class MailSent(msgspec.Struct, frozen=True):
    """One mail about an order. ``state`` is sending, sent, or skipped for good."""

    template: str
    state: Literal["sending", "sent", "skipped"]
    at_ms: int


class MailShown(msgspec.Struct, frozen=True):
    """One mail as its reader gets it; ``text`` is the plain alternative."""

    key: str
    to: str
    subject: str
    at_ms: int
    text: str


class Correspondence(Protocol):
    """The customers' mails, however the notification service is reached.

    `Unavailable`: it cannot answer now.
    """

    async def about(self, order_id: str) -> list[MailSent]:
        """Return what is known of the order's mails, oldest first."""
        ...

    async def send_link(self, order_id: str | None, url: str) -> None:
        """Have the customer mailed the link to the order, at most once in ten minutes.

        With None there is nobody to write to, and whoever asked cannot tell: either way the answer
        comes before anything is looked up or sent. A mail that is lost in between may be asked for
        again.
        """
        ...

    async def mailbox(self, limit: int) -> list[MailShown] | None:
        """Return the latest mails, newest first; None where they are not kept on this machine."""
        ...
