"""What the built-in carrier does by itself: it reports its parcels as shipped after a while.

It asks like a person would, through `Shipments`, with a carrier's name and a tracking number that
follow from the parcel, so asking twice is the same request. All it knows is in the carrier's books:
a crash between the answer and the note means that it asks again, and is told the original.
"""

from collections.abc import Awaitable, Callable

import anyio

from actors.domain.shipments import Shipments
from actors.shipping.depot import CARRIER, Depot
from actors.shipping.depot_books import ParcelEntry, Report
from actors.shipping.service import order_of
from runtime.child import ChildContext
from runtime.errors import Rejection, Unavailable
from runtime.host import Clock, Ids
from runtime.inbox import Claim
from runtime.message import Message

SHIPPED = "shipped"
NOT_YET = ("not-found", "not-prepared")
AGAIN_S_MIN = 0.01
AGAIN_S_MAX = 30.0
LOOK_S_MAX = 30.0

Handler = Callable[[Message, Claim], Awaitable[None]]


class Courier:
    """Reports parcels of ``depot`` to ``shipments``, each ``auto_ship_s`` after it was packed.

    At most ``batch_max`` reports are made at a time. The clock may be set, so the books are looked
    at every `LOOK_S_MAX` at least.
    """

    def __init__(
        self,
        depot: Depot,
        shipments: Shipments,
        auto_ship_s: float,
        clock: Clock,
        *,
        batch_max: int = 64,
    ) -> None:
        self._clock = clock
        self._depot = depot
        self._shipments = shipments
        self._delay_ms = int(auto_ship_s * 1000)
        self._batch_max = batch_max
        self._in_hand: dict[str, None] = {}
        self._woken = anyio.Event()

    def after(self, handler: Handler) -> Handler:
        """Have ``handler``, which packs an order's parcel, end before that parcel is reported.

        A report that comes while the service is still at it can only be refused.
        """

        async def handle(message: Message, claim: Claim) -> None:
            order_id = order_of(message)
            self._in_hand[order_id] = None
            try:
                await handler(message, claim)
            finally:
                self._in_hand.pop(order_id, None)
                self._woken.set()

        return handle

    async def run(self, context: ChildContext) -> None:
        """Report what is due until told to stop; begins with what a crash has left."""
        context.started()
        while not context.stopping.is_set():
            woken = self._woken = anyio.Event()
            try:
                pause_s = await self._look()
            except Unavailable:
                pause_s = AGAIN_S_MAX  # our own books cannot be read or written now
            if pause_s > 0:
                await _first_of(context.stopping, woken, within_s=pause_s)

    async def _look(self) -> float:
        """Report what is due; return how long nothing can become due but by a new parcel.

        Point of no return of a report: `Shipments.shipped` answers. Before it nothing has happened;
        between it and the note, the same request is made again and has the same answer.
        """
        limit = self._batch_max + len(self._in_hand)
        agenda = await self._depot.agenda(self._delay_ms, limit)
        ready = [entry for entry in agenda.due if entry.order_id not in self._in_hand]
        reports: list[Report] = []
        if ready:
            async with anyio.create_task_group() as tasks:
                for entry in ready[: self._batch_max]:
                    tasks.start_soon(self._report, entry, reports)
            await self._depot.note(reports)
            if len(agenda.due) == limit:
                return 0
        next_ms = [report.retry_at_ms for report in reports if report.ended is None]
        if agenda.next_ms is not None:
            next_ms.append(agenda.next_ms)
        # A millisecond more: woken too early, one would find nothing.
        rests = [at_ms / 1000 - self._clock.wall() + 0.001 for at_ms in next_ms]
        return max(0.0, min([*rests, LOOK_S_MAX]))

    async def _report(self, entry: ParcelEntry, reports: list[Report]) -> None:
        correlation_id = Ids.derived("req", entry.parcel_id, SHIPPED)
        ended: str | None = SHIPPED
        try:
            await self._shipments.shipped(entry.order_id, CARRIER, entry.tracking, correlation_id)
        except Rejection as refusal:
            ended = None if refusal.code in NOT_YET else refusal.code
        except Unavailable:
            ended = None
        after_s = min(AGAIN_S_MIN * 2 ** min(entry.attempts, 16), AGAIN_S_MAX)
        retry_at_ms = 0 if ended else int((self._clock.wall() + after_s) * 1000)
        reports.append(Report(entry.parcel_id, ended, retry_at_ms))


async def _first_of(*events: anyio.Event, within_s: float) -> None:
    """Wait until one of the events is set, or the time is up."""
    with anyio.move_on_after(within_s) as scope:
        async with anyio.create_task_group() as tasks:

            async def end_with(event: anyio.Event) -> None:
                await event.wait()
                scope.cancel()

            for event in events:
                tasks.start_soon(end_with, event)
