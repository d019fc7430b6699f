"""The event store of ordermill in this process: database, single writer, clients; no relay."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from actors.domain.order import Order
from actors.domain.order_events import Service
from actors.order_events.client import LocalOrderEvents
from actors.order_events.deciding import Request
from actors.order_events.latest import Latest
from actors.order_events.schema import MIGRATIONS
from actors.order_events.service import OrderEventsActor
from actors.order_events.wakeups import Wakeups
from actors.settings import Settings
from bench.supervised import Ground
from runtime.actor import ActorRef, actor_child
from runtime.database import Database, open_database

T = TypeVar("T")


class OrderStore:
    """Clients of a store that runs; made by `with_order_store`."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.wakeups = Wakeups()
        self.latest = Latest()
        self.ref: ActorRef[Request] = ActorRef("order-events", Settings().runtime.mailbox_max)

    def client(self, service: Service) -> LocalOrderEvents:
        """Return the client of one service."""
        return LocalOrderEvents(self.ref, self.database, self.wakeups, self.latest, service=service)

    def appended(self, order: Order) -> None:
        """Do what follows each commit."""
        self.latest.put(order)
        self.wakeups.notify(order.id)


async def with_order_store(ground: Ground, work: Callable[[OrderStore], Awaitable[T]]) -> T:
    """Run the store in the ground's folder, and ``work`` with it; return its result."""
    async with open_database(ground.host.disk, "orders.db", MIGRATIONS) as database:
        store = OrderStore(database)
        writer = partial(
            OrderEventsActor,
            database,
            ground.host,
            ground.telemetry,
            on_appended=store.appended,
            on_kept=store.latest.keep,
            wake_relay=lambda: None,
        )
        child = actor_child("order-events", writer, store.ref, batch_max=Settings().store.batch_max)
        return await ground.supervise((child,), lambda: work(store))
