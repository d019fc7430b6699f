"""Pages for whoever tries the shop out: the test cards, and the mails that customers get."""

import re

import msgspec
from quart import Response

from actors.domain.cards import TEST_CARDS
from actors.domain.correspondence import MailShown
from actors.gateway.pages import payment_form
from actors.gateway.pages.site import Site

MAILS_MAX = 50
_LINK = re.compile(r"https?://[^/\s]+(/o/[A-Za-z0-9_.-]+)")


class MailboxEntry(msgspec.Struct, frozen=True):
    """One mail, and the path of the order's link in it."""

    mail: MailShown
    link: str | None


class HelpPages:
    """Pages of a shop in test mode."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def test_cards(self) -> Response:
        """Show what each test card does."""
        rows = zip(payment_form.chips("test"), TEST_CARDS, strict=True)
        return self._site.page("test-cards.html", rows=list(rows))

    async def mailbox(self) -> Response:
        """Show the mails as their readers get them, in plain text."""
        mails = await self._site.gateway.correspondence.mailbox(MAILS_MAX)
        entries = None if mails is None else [_entry(mail) for mail in mails]
        return self._site.page("mailbox.html", entries=entries)


def _entry(mail: MailShown) -> MailboxEntry:
    found = _LINK.search(mail.text)
    return MailboxEntry(mail, found[1] if found else None)
