"""The Order Event Service put together: what its clients share, and the children that run it."""

from collections.abc import Sequence

import anyio

from actors.domain.order import Order
from actors.domain.order_events import Service
from actors.order_events import idempotency
from actors.order_events.client import LocalOrderEvents
from actors.order_events.deciding import Request
from actors.order_events.latest import Latest
from actors.order_events.service import OrderEventsActor
from actors.order_events.stages import count_stage
from actors.order_events.wakeups import Wakeups
from runtime.actor import ActorRef, Envelope, actor_child
from runtime.child import ChildContext, ChildSpec
from runtime.database import Database
from runtime.errands import Errands
from runtime.errors import StoreUnavailable
from runtime.host import Host
from runtime.outbox import Relay
from runtime.publishing import Publisher
from runtime.telemetry import Telemetry

_PURGE_ROWS_MAX = 500


class OrderEventsParts:
    """Made once, before the supervision tree; the database is opened with `schema.MIGRATIONS`.

    Restarts of the children leave it as it is: the mailbox and whoever holds a client stay good.
    """

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        host: Host,
        telemetry: Telemetry,
        *,
        mailbox_max: int = 1024,
        batch_max: int = 256,
        outbox_poll_s: float = 0.5,
        outbox_batch_max: int = 256,
        outbox_warn_age_s: float = 30.0,
        idempotency_retention_s: float = 604800.0,
        deadline_s: float = 10.0,
    ) -> None:
        self.database = database
        self.wakeups = Wakeups()
        self.latest = Latest()
        self.ref: ActorRef[Request] = ActorRef("order-events", mailbox_max)
        self.relay = Relay(
            database,
            publisher,
            host,
            telemetry,
            batch_max=outbox_batch_max,
            poll_s=outbox_poll_s,
            lag_s=outbox_warn_age_s,
        )
        self.errands = Errands("order-events", database, host.clock)
        self._current: OrderEventsActor | None = None
        self._host = host
        self._telemetry = telemetry
        self._batch_max = batch_max
        self._retention_s = idempotency_retention_s
        self.deadline_s = deadline_s
        telemetry.gauge("mailbox_depth", lambda: self.ref.statistics().depth, actor="order-events")
        telemetry.gauge(
            "mailbox_rejected_total", lambda: self.ref.statistics().rejected, actor="order-events"
        )

    def client(self, service: Service) -> LocalOrderEvents:
        """Return the service's own way in: what it may append and read follows from its name."""
        return LocalOrderEvents(
            self.ref,
            self.database,
            self.wakeups,
            self.latest,
            service=service,
            deadline_s=self.deadline_s,
        )

    def status(self) -> dict[str, object]:
        """Return what operators see of the writer, the store and the relay."""
        return {
            "mailbox": self.ref.statistics(),
            "database": self.database.statistics(),
            "outbox": self.relay.statistics(),
        }

    def children(self) -> tuple[ChildSpec, ...]:
        """Return the relay, the writer, the purge and the operator's desk, as they start.

        They stop in reverse: the relay comes last and flushes what the writer's end has left.
        """
        return (
            ChildSpec("outbox-relay", self.relay.run),
            actor_child("order-events", self._writer, self.ref, batch_max=self._batch_max),
            ChildSpec("idempotency-purge", self._purge),
            self.errands.child(),
        )

    def at_work(self) -> Sequence[Envelope[Request]]:
        """Return the batch that the writer decides now: it is in the mailbox no more."""
        return () if self._current is None else self._current.at_work

    def _writer(self) -> OrderEventsActor:
        self._current = OrderEventsActor(
            self.database,
            self._host,
            self._telemetry,
            on_appended=self._appended,
            on_kept=self.latest.keep,
            wake_relay=self.relay.wake,
        )
        return self._current

    def _appended(self, order: Order) -> None:
        self.latest.put(order)
        self.wakeups.notify(order.id)
        count_stage(order, self._telemetry)

    async def _purge(self, context: ChildContext) -> None:
        """Forget outcomes older than the retention, a few at a time, an eighth of it too late."""
        context.started()
        while not context.stopping.is_set():
            purged = await self._purge_some()
            with anyio.move_on_after(0.1 if purged == _PURGE_ROWS_MAX else self._retention_s / 8):
                await context.stopping.wait()

    async def _purge_some(self) -> int:
        before_ms = int((self._host.clock.wall() - self._retention_s) * 1000)
        try:
            return await self.database.write(
                lambda tx: idempotency.purge(tx.connection, before_ms, _PURGE_ROWS_MAX)
            )
        except StoreUnavailable:
            return 0  # the disk is full or busy: nothing is lost by purging later
