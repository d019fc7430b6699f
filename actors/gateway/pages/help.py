"""Pages for whoever tries the shop out: the test cards, and the mails that customers get."""

import re

import msgspec
from quart import Response

from actors.domain.cards import DECLINES, TEST_CARDS, TestCard
from actors.domain.correspondence import MailShown
from actors.gateway.pages import payment_form
from actors.gateway.pages.site import Site
from actors.gateway.pages.story import declined

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
        fates = [_fate(card) for card in TEST_CARDS]
        rows = zip(payment_form.chips("test"), fates, strict=True)
        return self._site.page("test-cards.html", rows=list(rows))

    async def mailbox(self) -> Response:
        """Show the mails as their readers get them, in plain text."""
        mails = await self._site.gateway.correspondence.mailbox(MAILS_MAX)
        entries = None if mails is None else [_entry(mail) for mail in mails]
        return self._site.page("mailbox.html", entries=entries)


def _fate(card: TestCard) -> str:
    """Return what happens to a card, in the words that the order's page will use."""
    if card.token in DECLINES:
        return f"The payment fails. {declined(DECLINES[card.token])}"
    return f"{card.effect[0].upper()}{card.effect[1:]}."


def _entry(mail: MailShown) -> MailboxEntry:
    found = _LINK.search(mail.text)
    return MailboxEntry(mail, found[1] if found else None)
