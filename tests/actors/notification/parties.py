"""A shop with a notification service and a real Maildir, for tests of the notification service."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

from actors.notification.assembly import FILE, MIGRATIONS
from actors.notification.letters import Letters
from actors.notification.maildir import Maildir
from actors.notification.mailer import Mailer
from actors.notification.mails import MailEntry, of_order
from actors.notification.service import NotificationService
from runtime.database import open_database
from tests.harness.crashes import Runs, Tripwire
from tests.harness.shop import Shop, open_shop


def parsed(data: bytes) -> EmailMessage:
    message = BytesParser(policy=default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    return message


@dataclass
class Parties:
    """Everybody who takes part."""

    shop: Shop
    maildir: Maildir
    runs: Runs

    def service(
        self, wire: Tripwire | None = None, mailer: Mailer | None = None
    ) -> NotificationService:
        """Return a new incarnation of the service, its ports watched by ``wire``."""
        wire = wire or Tripwire()
        return NotificationService(
            wire.watch(self.shop.notification),
            wire.watch(mailer or self.maildir),
            Letters(),
            wire.watch(self.runs.database),
            self.shop.host.clock,
        )

    async def notify(self, order_id: str, event_type: str) -> None:
        """Deliver the event's message to a new incarnation."""
        message = await self.shop.message(order_id, event_type)
        await self.runs.deliver(message, self.service().route())

    async def inbox(self) -> list[EmailMessage]:
        """Return the mails that customers got."""
        disk = self.shop.host.disk
        names = [*await disk.names("mail/new"), *await disk.names("mail/cur")]
        return [parsed(await disk.read(name) or b"") for name in names]

    async def templates(self) -> list[str]:
        """Return the templates of these mails, sorted."""
        return sorted(str(mail["X-Ordermill-Template"]) for mail in await self.inbox())

    async def entries(self, order_id: str) -> list[MailEntry]:
        """Return what the service remembers of the order's mails."""
        return await self.runs.database.read(lambda connection: of_order(connection, order_id))


@asynccontextmanager
async def parties_in(folder: Path) -> AsyncIterator[Parties]:
    """Open all of them in ``folder``."""
    async with (
        open_shop(folder) as shop,
        open_database(shop.host.disk, FILE, MIGRATIONS) as database,
    ):
        maildir = Maildir(shop.host.disk, shop.host.clock)
        yield Parties(shop, maildir, Runs(database, shop.host))
