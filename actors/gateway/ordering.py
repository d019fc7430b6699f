"""How a customer's command is carried out, whoever sent it: the API's handlers, or a page's form.

A command that was handed over is carried out even if its client hangs up: who waits for the answer
may be cancelled meanwhile, and finds it again by the command's key.
"""

from collections.abc import Awaitable, Callable
from typing import Literal, TypeVar

from actors.domain.order_events import (
    CancelOrder,
    Command,
    Intent,
    PlaceOrder,
    Receipt,
    UpdatePayment,
    UpdateShippingAddress,
)
from actors.domain.values import Address
from actors.gateway.context import Gateway
from actors.gateway.payments import tokenise
from actors.gateway.requests import Payment, PlaceRequest
from runtime.errors import Rejection

R = TypeVar("R", bound=Receipt | None)
By = Literal["customer", "operator"]


class Ordering:
    """Makes commands of requests and has order-events decide them."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def place(self, asked: PlaceRequest, intent: Intent) -> Receipt:
        """Place an order at today's prices; Rejection where there is nothing to order by it."""
        gateway = self._gateway
        receipt = await self._execute(
            intent,
            lambda: PlaceOrder(
                customer=asked.customer,
                items=gateway.catalogue.price(asked.items, asked.expected_total),
                shipping_address=asked.shipping_address,
                payment=tokenise(asked.payment, gateway.host.clock.wall(), "#/payment"),
            ),
        )
        if not receipt.replayed:
            order = receipt.order
            gateway.telemetry.event(
                "order.accepted",
                "debug",
                order_id=order.id,
                number=order.number,
                request_id=intent.correlation_id,
            )
        return receipt

    async def update_payment(self, order_id: str, asked: Payment, intent: Intent) -> Receipt:
        """Have the order paid for with another card."""
        now_s = self._gateway.host.clock.wall
        return await self._execute(
            intent, lambda: UpdatePayment(order_id, tokenise(asked, now_s()))
        )

    async def update_address(self, order_id: str, asked: Address, intent: Intent) -> Receipt:
        """Have the order shipped to another address."""
        return await self._execute(intent, lambda: UpdateShippingAddress(order_id, asked))

    async def cancel(self, order_id: str, by: By, reason: str | None, intent: Intent) -> Receipt:
        """Call the order off; a refund that is due goes on in the background."""
        return await self._execute(intent, lambda: CancelOrder(order_id, by, reason))

    async def _execute(self, intent: Intent, command: Callable[[], Command]) -> Receipt:
        """Carry out the command that the request is today, or give the answer it got before.

        The card may have expired and the price have changed since the first request under this
        key: what makes no command any more is refused only if it never was one.
        """
        order_events = self._gateway.order_events
        try:
            asked = command()
        except Rejection:
            replay = order_events.replay
            first = await self._counted(intent, replay(intent)) if intent.key else None
            if first is None:
                raise
            return first
        return await self._counted(intent, order_events.execute(asked, intent))

    async def _counted(self, intent: Intent, answer: Awaitable[R]) -> R:
        try:
            receipt = await answer
        except Rejection as refusal:
            reused = "reused" if refusal.code == "idempotency-key-reused" else "first"
            replayed = refusal.details.get("replayed") is True
            self._count(intent, "replayed" if replayed else reused)
            raise
        if receipt is not None:
            self._count(intent, "replayed" if receipt.replayed else "first")
        return receipt

    def _count(self, intent: Intent, result: str) -> None:
        if intent.key is not None:
            self._gateway.telemetry.count("idempotency_total", result=result)
