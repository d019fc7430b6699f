"""The payment service put together: what it needs, what it starts, what it shows.

Its database holds the inbox, the hold and the journal of calls; the sandbox provider is another
party and has a database of its own.
"""

import msgspec
from quart import Quart

from actors.domain.order_events import OrderEvents
from actors.payment import journal
from actors.payment.calls import Desk
from actors.payment.provider import PaymentProvider
from actors.payment.service import PaymentService, order_of
from actors.payment.sweeper import Sweeper
from actors.status import Check, StatusQuery, status_app
from runtime import hold, inbox
from runtime.amqp.link import Link
from runtime.child import ChildSpec, SupervisorSpec
from runtime.database import Database, DatabaseStatistics
from runtime.host import Host
from runtime.outcomes import RetryPolicy
from runtime.publishing import Publisher
from runtime.service import MessageService, ServiceStatistics
from runtime.telemetry import Telemetry

QUEUE = "payment"
FILE = "payment.db"
MIGRATIONS = (inbox.SCHEMA, hold.SCHEMA, journal.SCHEMA)


class PaymentStatus(msgspec.Struct, frozen=True):
    """What operators see. ``unfinished`` are the orders with calls that are not settled."""

    messages: ServiceStatistics
    database: DatabaseStatistics
    unfinished: list[str]
    refunds_due: list[str]


class Payment:
    """The payment service. ``database`` was opened with `MIGRATIONS` as `FILE`."""

    def __init__(
        self,
        orders: OrderEvents,
        provider: PaymentProvider,
        *,
        database: Database,
        link: Link,
        publisher: Publisher,
        host: Host,
        telemetry: Telemetry,
        retry: RetryPolicy,
        hold_s: float,
        sweep_s: float,
        lanes: int = 32,
        prefetch: int = 128,
    ) -> None:
        self._orders = orders
        self._database = database
        desk = Desk(provider, database, host.clock, telemetry)
        service = PaymentService(orders, desk)
        self.messages = MessageService(
            QUEUE,
            service.routes(hold_s),
            key=order_of,
            link=link,
            publisher=publisher,
            database=database,
            host=host,
            telemetry=telemetry,
            retry=retry,
            lanes=lanes,
            prefetch=prefetch,
        )
        self.sweeper = Sweeper(
            orders, desk, tell=self.messages.tell, resume=service.resume, every_s=sweep_s
        )

    def spec(self) -> SupervisorSpec:
        """Return the subtree: the messages first, because the sweeper tells their lanes."""
        sweeper = ChildSpec("sweeper-payment", self.sweeper.run)
        return SupervisorSpec(QUEUE, (self.messages.spec(), sweeper), strategy="rest_for_one")

    async def status(self) -> PaymentStatus:
        """Return what operators see."""
        return PaymentStatus(
            messages=self.messages.statistics(),
            database=self._database.statistics(),
            unfinished=await self._database.read(journal.open_orders),
            refunds_due=await self._orders.refunds_due(),
        )


def payment_app(checks: dict[str, Check], telemetry: Telemetry, status: StatusQuery) -> Quart:
    """Return the service's HTTP side: health, readiness, metrics, status."""
    return status_app(QUEUE, checks=checks, telemetry=telemetry, status=status)
