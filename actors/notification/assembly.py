"""The notification service put together: what it needs, what it starts, what it shows.

Its database holds the inbox, the hold and what became of each mail; the mails themselves are with
the mailer.
"""

import msgspec

from actors.domain.order_events import OrderEvents
from actors.notification import mails
from actors.notification.correspondence import LocalCorrespondence
from actors.notification.letters import TEMPLATES, Letters, OrderUrl, no_url
from actors.notification.mailer import Mailer
from actors.notification.service import NotificationService, order_of
from runtime import audit, duplicates, hold, inbox
from runtime.child import SupervisorSpec
from runtime.database import DatabaseStatistics
from runtime.service import MessageService, ServiceStatistics, Surroundings

QUEUE = "notification"
FILE = "notification.db"
MIGRATIONS = (inbox.SCHEMA, hold.SCHEMA, mails.SCHEMA, audit.SCHEMA, duplicates.SCHEMA)


class NotificationStatus(msgspec.Struct, frozen=True):
    """What operators see; ``unsent`` counts mails that were begun and not sent yet."""

    messages: ServiceStatistics
    database: DatabaseStatistics
    unsent: int


class Notification:
    """The notification service. Its database was opened with `MIGRATIONS` as `FILE`."""

    def __init__(
        self,
        order_events: OrderEvents,
        mailer: Mailer,
        around: Surroundings,
        *,
        order_url: OrderUrl = no_url,
    ) -> None:
        self._database = around.database
        letters, clock = Letters(order_url), around.host.clock
        self.service = NotificationService(order_events, mailer, letters, around.database, clock)
        self.correspondence = LocalCorrespondence(
            order_events, mailer, letters, around.database, clock
        )
        routes = dict.fromkeys(TEMPLATES, self.service.route())
        self.messages = MessageService(QUEUE, routes, key=order_of, around=around)

    def spec(self) -> SupervisorSpec:
        """Return the service's subtree."""
        return SupervisorSpec(QUEUE, (self.messages.spec(), self.correspondence.child()))

    async def status(self) -> NotificationStatus:
        """Return what operators see."""
        return NotificationStatus(
            messages=self.messages.statistics(),
            database=self._database.statistics(),
            unsent=await self._database.read(mails.unsent),
        )
