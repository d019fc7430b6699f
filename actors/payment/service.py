"""The payment service's handlers: what each message makes it do.

``order-created``: take the money. ``order-cancelled``: give it back if it was taken. Both end with
the same look at what is owed, so that it does not matter which of them comes first, twice, or late.
An attempt that is open when the order is cancelled states its own end, and looks then.

The events this service appends carry the id of the message that led to them as correlation id.
"""

from collections.abc import Mapping
from functools import partial

from actors.domain.events import decode_message
from actors.domain.order_events import OrderEvents
from actors.payment import journal
from actors.payment.calls import Desk
from actors.payment.charge import Charges
from actors.payment.journal import CallKind
from actors.payment.refund import Refunds
from runtime.errors import Rejection, Unavailable
from runtime.inbox import Claim
from runtime.jobs import Route
from runtime.message import Message

CHARGING: tuple[CallKind, ...] = ("authorise", "capture", "void")


def order_of(message: Message) -> str:
    """Return the order that a message is about: its lane. `Unprocessable` if it is malformed."""
    return decode_message(message.body).order_id


class PaymentService:
    """Handlers over the order's events and the desk where the provider is called.

    What was done is known from the order's stream and the journal of calls, which are by order: the
    claim's own steps are not needed.
    """

    def __init__(self, orders: OrderEvents, desk: Desk) -> None:
        self._orders = orders
        self._desk = desk
        self._charges = Charges(orders, desk)
        self._refunds = Refunds(orders, desk)

    def routes(self, hold_s: float) -> Mapping[str, Route]:
        """Return the handlers by message type; a new order waits ``hold_s`` before payment."""
        return {
            "order-created": Route(self.order_created, hold_s),
            "order-cancelled": Route(self.order_cancelled),
        }

    async def order_created(self, message: Message, claim: Claim) -> None:
        """Take the money; then refund it if the order was cancelled meanwhile.

        Died between the two: the message comes again, finds the attempt ended, and looks again.
        """
        order_id = order_of(message)
        claim.at_end(partial(journal.forget, order_id=order_id, kinds=CHARGING))
        await self._charges.run(order_id, message.message_id)
        await self._refunds.settle(order_id, message.message_id)

    async def order_cancelled(self, message: Message, _claim: Claim) -> None:
        """Refund what was captured. Nothing captured yet: whoever captures looks after that."""
        order_id = order_of(message)
        try:
            await self._refunds.settle(order_id, message.message_id)
        except Rejection as refusal:
            raise Unavailable(f"{order_id} is not in the store yet") from refusal

    async def resume(self, order_id: str) -> None:
        """Go on with what is unfinished, without a message; run in the order's lane."""
        self._desk.telemetry.event("payment.resumed", order_id=order_id)
        order = await self._orders.order(order_id)
        if order.attempt_open:
            await self._charges.run(order_id, order.happened["order-created"].event_id)
        cause = order.happened.get("order-cancelled", order.happened["order-created"])
        await self._refunds.settle(order_id, cause.event_id)
        await self._desk.forget(order_id, *CHARGING, "refund")
