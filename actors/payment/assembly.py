"""The payment service put together: what it needs, what it starts, what it shows.

Its database holds the inbox, the hold and the journal of calls; the sandbox provider is another
party and has a database of its own.
"""

from collections.abc import Mapping

import msgspec
from quart import Quart

from actors.domain.order_events import OrderEvents
from actors.payment import journal
from actors.payment.calls import Desk
from actors.payment.provider import PaymentProvider
from actors.payment.service import PaymentService, order_of
from actors.payment.sweeper import Sweeper
from actors.status import Check, StatusQuery, status_app
from runtime import audit, duplicates, hold, inbox
from runtime.child import ChildSpec, SupervisorSpec
from runtime.database import DatabaseStatistics
from runtime.service import MessageService, ServiceStatistics, Surroundings
from runtime.telemetry import Telemetry

QUEUE = "payment"
FILE = "payment.db"
MIGRATIONS = (inbox.SCHEMA, hold.SCHEMA, journal.SCHEMA, audit.SCHEMA, duplicates.SCHEMA)


class PaymentStatus(msgspec.Struct, frozen=True):
    """What operators see. ``unfinished`` are the orders with calls that are not settled."""

    messages: ServiceStatistics
    database: DatabaseStatistics
    unfinished: list[str]
    refunds_due: list[str]


class Payment:
    """The payment service. ``around.database`` was opened with `MIGRATIONS` as `FILE`.

    A new order waits ``hold_s`` before payment; owed refunds are looked for every ``sweep_s``.
    """

    def __init__(
        self,
        orders: OrderEvents,
        provider: PaymentProvider,
        around: Surroundings,
        *,
        hold_s: float,
        sweep_s: float,
    ) -> None:
        self._orders = orders
        self._database = around.database
        desk = Desk(provider, around.database, around.host.clock, around.telemetry)
        service = PaymentService(orders, desk)
        self.messages = MessageService(QUEUE, service.routes(hold_s), key=order_of, around=around)
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


def payment_app(checks: Mapping[str, Check], telemetry: Telemetry, status: StatusQuery) -> Quart:
    """Return the service's HTTP side: health, readiness, metrics, status."""
    return status_app(QUEUE, checks=checks, telemetry=telemetry, status=status)
