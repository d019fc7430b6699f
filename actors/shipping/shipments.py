"""The "has shipped" request: an actor of the service's own, and the way to ask it.

Whoever asks may go away; the request is carried out all the same, in the actor's task. The event's
id follows from what is stated, so the same statement is the same event, and another carrier or
tracking number is another event, which the guard refuses.
"""

from collections.abc import Sequence

import anyio
import msgspec

from actors.domain.events import Shipped
from actors.domain.order_events import OrderEvents, Recorded
from runtime import tracing
from runtime.actor import Actor, ActorRef, Envelope
from runtime.errors import Rejection, Unavailable, Unprocessable
from runtime.host import Ids

DEADLINE_S = 15.0


class Ship(msgspec.Struct, frozen=True):
    """The carrier says that it took the order's parcel."""

    order_id: str
    carrier: str
    tracking: str
    correlation_id: str
    traceparent: str | None = None
    tracestate: str | None = None


class ShippingDesk(Actor[Ship]):
    """Appends ``shipped``; a batch at once, because the log decides about each on its own.

    ``at_work`` is the batch that it works on now.
    """

    def __init__(self, order_events: OrderEvents) -> None:
        self._order_events = order_events
        self.at_work: Sequence[Envelope[Ship]] = ()

    async def receive_batch(self, batch: Sequence[Envelope[Ship]]) -> None:
        """Answer each request with its `Recorded`, or refuse it."""
        self.at_work = batch
        try:
            async with anyio.create_task_group() as tasks:
                for envelope in batch:
                    tasks.start_soon(self._answer, envelope)
        finally:
            self.at_work = ()

    async def _answer(self, envelope: Envelope[Ship]) -> None:
        """Point of no return: the append's commit. Whoever asks again is told the original."""
        ship = envelope.message
        tracing.follow(ship.traceparent, ship.tracestate)
        event_id = Ids.derived("evt", ship.order_id, "shipped", ship.carrier, ship.tracking)
        try:
            recorded = await self._order_events.append(
                ship.order_id,
                event_id,
                Shipped(ship.carrier, ship.tracking),
                correlation_id=ship.correlation_id,
            )
        except Unprocessable:
            message = "The carrier or the tracking number is not one."
            envelope.fail(Rejection("validation-failed", message, status_hint=422))
        except (Rejection, Unavailable) as refusal:
            envelope.fail(refusal)
        else:
            envelope.reply(recorded)


class AskedShipments:
    """`Shipments`, by asking the desk in the same process."""

    def __init__(self, desk: ActorRef[Ship], *, deadline_s: float = DEADLINE_S) -> None:
        self._desk = desk
        self._deadline_s = deadline_s

    async def shipped(
        self, order_id: str, carrier: str, tracking: str, correlation_id: str
    ) -> Recorded:
        """Note that the parcel was taken; see `Shipments.shipped`."""
        trace = tracing.current(), tracing.current_state()
        ship = Ship(order_id, carrier, tracking, correlation_id, *trace)
        recorded = await self._desk.ask(ship, self._deadline_s)
        assert isinstance(recorded, Recorded), "a request is answered with its record"
        return recorded
