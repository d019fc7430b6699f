"""The safety net under the payment service: finds what is unfinished and has no message.

Level-triggered: it asks what is owed now (refunds due, calls in the journal) rather than what
happened. It does no work itself: it tells the lane of the order, so it never overlaps with a
handler. An order whose message is still being worked on, waits for a retry, or was parked for a
person is left to that message - except a refund that has been owed for `STUCK_S`.
"""

from collections.abc import Awaitable, Callable
from functools import partial

import anyio

from actors.domain.order import Order
from actors.domain.order_events import OrderEvents
from actors.payment import journal
from actors.payment.calls import Desk
from runtime.child import ChildContext
from runtime.errors import MailboxClosed, MailboxFull, Rejection, Unavailable
from runtime.inbox import State, states_of

STUCK_S = 3600.0
_IN_HAND: tuple[State, ...] = ("claimed", "held", "requeued", "parked")
_CAUSES = ("order-created", "order-cancelled")

Tell = Callable[[str, Callable[[], Awaitable[None]]], None]


class Sweeper:
    """A child that looks every ``every_s``, beginning at once.

    ``tell`` runs work in the lane of an order, ``resume`` is that work.
    """

    def __init__(
        self,
        orders: OrderEvents,
        desk: Desk,
        *,
        tell: Tell,
        resume: Callable[[str], Awaitable[None]],
        every_s: float,
    ) -> None:
        self._orders = orders
        self._desk = desk
        self._tell = tell
        self._resume = resume
        self._every_s = every_s
        self._told: dict[str, int] = {}

    async def run(self, context: ChildContext) -> None:
        """Sweep until told to stop."""
        context.started()
        while not context.stopping.is_set():
            try:
                await self.sweep()
            except Unavailable as error:
                self._desk.telemetry.event("payment.sweep-postponed", "warning", error=error)
            with anyio.move_on_after(self._every_s):
                await context.stopping.wait()

    async def sweep(self) -> None:
        """Look once. What does not fit into the lanes now is found again next time."""
        due = await self._orders.refunds_due()
        self._desk.telemetry.gauge("payment_refunds_due", float(len(due)))
        begun = await self._desk.database.read(journal.open_orders)
        for order_id in dict.fromkeys((*due, *begun)):
            try:
                await self._look_at(order_id)
            except Rejection:
                continue  # the journal is older than the store: nothing of ours is known there
            except (MailboxFull, MailboxClosed):
                return

    async def _look_at(self, order_id: str) -> None:
        now_ms = self._desk.now_ms()
        if now_ms - self._told.get(order_id, 0) < STUCK_S * 1000:
            return  # it waits in its lane
        order = await self._orders.order(order_id)
        stuck = order.refund_due and now_ms - order.updated_at_ms >= STUCK_S * 1000
        if not stuck and await self._in_hand(order):
            return
        self._tell(order_id, partial(self._carry_out, order_id))
        self._told[order_id] = now_ms

    async def _in_hand(self, order: Order) -> bool:
        """Whether a message of this order will see to it, or a person was asked to."""
        causes = [order.happened[name].event_id for name in _CAUSES if order.has(name)]
        states = await self._desk.database.read(partial(states_of, message_ids=causes))
        return any(state in _IN_HAND for state in states.values())

    async def _carry_out(self, order_id: str) -> None:
        try:
            await self._resume(order_id)
        finally:
            self._told.pop(order_id, None)
