"""Giving the money back: an obligation, not a reaction.

It is owed while the order's state says so (cancelled, captured, not refunded), whichever message
came first or was lost. So it is looked at after every payment fact, on every cancellation, and by
the sweeper; looking at it when nothing is owed does nothing.

It is attempted until it succeeds: whatever is unavailable, the message never gives up.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from actors.domain.events import Body, PaymentRefunded, PaymentRefundInProgress
from actors.domain.order import Order
from actors.domain.order_events import OrderEvents, Recorded
from actors.payment.calls import Calls, Desk
from actors.payment.naming import event_id, refund_key
from actors.payment.provider import Refunded
from runtime.errors import Rejection, Unavailable


class Refunds:
    """Settles refunds, one order at a time (its lane sees to that)."""

    def __init__(self, orders: OrderEvents, desk: Desk) -> None:
        self._orders = orders
        self._desk = desk

    async def settle(self, order_id: str, correlation_id: str) -> None:
        """Refund the order if that is owed.

        Died before ``payment-refund-in-progress``: nothing happened. Died after it: the next run
        gets that event back and looks its key up. Died after the refund: the look-up finds it, and
        only the event is missing. Raises an `Unavailable` that does not give up.
        """
        with _never_giving_up():
            order = await self._orders.order(order_id)
            if order.refund_due:
                await self._refund(order, correlation_id)
            elif order.has("payment-refunded"):
                await self._desk.forget(order_id, "refund")

    async def _refund(self, order: Order, correlation_id: str) -> None:
        begun = await self._append(order, PaymentRefundInProgress(order.total), correlation_id)
        order = await self._orders.order(order.id)
        if order.refund_due:
            calls = await self._desk.calls(order.id, resumed=begun.replayed)
            refunded = await self._give_back(order, calls)
            async with calls.written_down():
                body = PaymentRefunded(refunded.refund_id, order.total)
                await self._append(order, body, correlation_id)
        await self._desk.forget(order.id, "refund")

    async def _give_back(self, order: Order, calls: Calls) -> Refunded:
        key = refund_key(order.id)
        refunded = await calls.known(key)
        if refunded is None:
            charge_id = order.charge_id
            assert charge_id is not None, f"{order.id} was captured without a charge"
            captured = order.happened["payment-captured"].version
            refunded = await calls.make(
                calls.call("refund", key, order.total, captured),
                lambda: self._desk.provider.refund(key, charge_id, order.total),
            )
        assert isinstance(refunded, Refunded), f"refund did {refunded}"
        return refunded

    async def _append(self, order: Order, body: Body, correlation_id: str) -> Recorded:
        assert order.attempt is not None, f"{order.id} was captured without an attempt"
        try:
            return await self._orders.append(
                order.id,
                event_id(order.id, body, order.attempt),
                body,
                correlation_id=correlation_id,
            )
        except Rejection as refusal:
            raise AssertionError(f"a refund that is owed was refused: {refusal}") from refusal


@contextmanager
def _never_giving_up() -> Iterator[None]:
    try:
        yield
    except Unavailable as error:
        raise Unavailable(str(error), retry_after_s=error.retry_after_s, gives_up=False) from error
