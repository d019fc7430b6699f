"""The notification service put together: what it needs, what it starts, what it shows.

Its database holds the inbox, the hold and what became of each mail; the mails themselves are with
the mailer.
"""

from collections.abc import Mapping

import msgspec
from quart import Quart

from actors.domain.order_events import OrderEvents
from actors.notification import mails
from actors.notification.letters import TEMPLATES, Letters, OrderUrl, no_url
from actors.notification.mailer import Mailer
from actors.notification.service import NotificationService, order_of
from actors.status import Check, StatusQuery, status_app
from runtime import audit, hold, inbox
from runtime.child import SupervisorSpec
from runtime.database import DatabaseStatistics
from runtime.jobs import Route
from runtime.service import MessageService, ServiceStatistics, Surroundings
from runtime.telemetry import Telemetry

QUEUE = "notification"
FILE = "notification.db"
MIGRATIONS = (inbox.SCHEMA, hold.SCHEMA, mails.SCHEMA, audit.SCHEMA)


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
        self.service = NotificationService(
            order_events, mailer, Letters(order_url), around.database, around.host.clock
        )
        route = Route(self.service.notify)
        self.messages = MessageService(
            QUEUE, dict.fromkeys(TEMPLATES, route), key=order_of, around=around
        )

    def spec(self) -> SupervisorSpec:
        """Return the service's subtree."""
        return SupervisorSpec(QUEUE, (self.messages.spec(),))

    async def status(self) -> NotificationStatus:
        """Return what operators see."""
        return NotificationStatus(
            messages=self.messages.statistics(),
            database=self._database.statistics(),
            unsent=await self._database.read(mails.unsent),
        )


def notification_app(
    checks: Mapping[str, Check], telemetry: Telemetry, status: StatusQuery
) -> Quart:
    """Return the service's HTTP side: health, readiness, metrics, status."""
    return status_app(QUEUE, checks=checks, telemetry=telemetry, status=status)
