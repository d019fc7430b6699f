"""The shipping service put together: what it needs, what it starts, what it shows.

Its database holds the inbox and the hold; the built-in carrier is another party and has a database
of its own.
"""

from collections.abc import Sequence

import msgspec

from actors.domain.order_events import OrderEvents
from actors.shipping.carrier import Carrier
from actors.shipping.courier import Courier, Handler
from actors.shipping.depot import Depot
from actors.shipping.service import ShippingService, order_of
from actors.shipping.shipments import AskedShipments, Ship, ShippingDesk
from runtime import audit, duplicates, hold, inbox
from runtime.actor import ActorRef, Envelope, actor_child
from runtime.child import ChildSpec, SupervisorSpec
from runtime.database import DatabaseStatistics
from runtime.jobs import Route
from runtime.mailbox import MailboxStatistics
from runtime.service import MessageService, ServiceStatistics, Surroundings

QUEUE = "shipping"
FILE = "shipping.db"
MIGRATIONS = (inbox.SCHEMA, hold.SCHEMA, audit.SCHEMA, duplicates.SCHEMA)
BATCH_MAX = 64


class ShippingStatus(msgspec.Struct, frozen=True):
    """What operators see; ``desk`` is the mailbox of has-shipped requests."""

    messages: ServiceStatistics
    database: DatabaseStatistics
    desk: MailboxStatistics


class Shipping:
    """The shipping service. Its database was opened with `MIGRATIONS` as `FILE`.

    ``desk`` takes has-shipped requests, ``shipments`` is how this process asks it, ``erase`` has
    the carrier forget an order's addresses; restarts leave them as they are. With ``auto_ship_s``
    the carrier must be the built-in `Depot`, which then reports its parcels by itself.
    """

    def __init__(
        self,
        order_events: OrderEvents,
        carrier: Carrier,
        around: Surroundings,
        *,
        hold_s: float,
        auto_ship_s: float | None = None,
        mailbox_max: int = 1024,
    ) -> None:
        self._order_events = order_events
        self._database = around.database
        self.desk: ActorRef[Ship] = ActorRef("shipping-desk", mailbox_max)
        self._current: ShippingDesk | None = None
        self.shipments = AskedShipments(self.desk)
        prepare: Handler = ShippingService(order_events, carrier).prepare
        self._courier: Courier | None = None
        if auto_ship_s is not None:
            assert isinstance(carrier, Depot), "only the built-in carrier reports by itself"
            self._courier = Courier(carrier, self.shipments, auto_ship_s, around.host.clock)
            prepare = self._courier.after(prepare)
        self.messages = MessageService(
            QUEUE,
            {"payment-captured": Route(prepare, hold_s)},
            key=order_of,
            around=around,
        )
        self.erase = carrier.erase

    def spec(self) -> SupervisorSpec:
        """Return the service's subtree: messages, desk, and the courier, who asks the desk."""
        children: list[ChildSpec | SupervisorSpec] = [
            self.messages.spec(),
            actor_child(
                "shipping-desk",
                self._new_desk,
                self.desk,
                batch_max=BATCH_MAX,
            ),
        ]
        if self._courier is not None:
            children.append(ChildSpec("courier", self._courier.run))
        return SupervisorSpec(QUEUE, tuple(children))

    async def status(self) -> ShippingStatus:
        """Return what operators see."""
        return ShippingStatus(
            messages=self.messages.statistics(),
            database=self._database.statistics(),
            desk=self.desk.statistics(),
        )

    def at_work(self) -> Sequence[Envelope[Ship]]:
        """Return the batch that the desk works on now: it is in the mailbox no more."""
        return () if self._current is None else self._current.at_work

    def _new_desk(self) -> ShippingDesk:
        self._current = ShippingDesk(self._order_events)
        return self._current
