"""Orders on their way: what customers, the payment service and the broker do, for a service's test.

Everything goes through the real Order Event Service; messages are those that it has published.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from actors.domain.events import (
    Body,
    Event,
    PaymentAuthFailed,
    PaymentAuthInProgress,
    PaymentCaptured,
    Shipped,
    ShippingPreparationInProgress,
    ShippingPrepared,
)
from actors.domain.order import Order
from actors.domain.order_events import CancelOrder, Command, PlaceOrder, UpdateShippingAddress
from actors.domain.values import Address
from actors.order_events.client import LocalOrderEvents
from actors.order_events.parts import OrderEventsParts
from runtime.host import Host, Ids, production_host
from runtime.message import Message
from tests.harness.order_events import RecordingPublisher, order_events_parts, sample_intent
from tests.harness.orders import sample_placing
from tests.harness.waiting import until


class Shop:
    """Drives orders by hand, one event at a time."""

    def __init__(self, parts: OrderEventsParts, broker: RecordingPublisher, host: Host) -> None:
        self.parts = parts
        self.host = host
        self.gateway = parts.client("gateway")
        self.payment = parts.client("payment")
        self.shipping = parts.client("shipping")
        self.notification = parts.client("notification")
        self._broker = broker

    async def place(self, placing: PlaceOrder | None = None) -> str:
        """Place an order; return its id."""
        receipt = await self.gateway.execute(placing or sample_placing(), sample_intent())
        return receipt.order.id

    async def begin_payment(self, order_id: str) -> Event:
        """Append payment-auth-in-progress."""
        return await self._append(self.payment, order_id, PaymentAuthInProgress(1))

    async def capture(self, order_id: str) -> Event:
        """Append payment-captured, and the lock before it where it is missing."""
        order = await self.order(order_id)
        if not order.has("payment-auth-in-progress"):
            await self.begin_payment(order_id)
        return await self._append(
            self.payment, order_id, PaymentCaptured(1, "ch_1", order.total, order.version)
        )

    async def decline(self, order_id: str, reason: str = "card_declined") -> Event:
        """Append payment-auth-failed, and the lock before it where it is missing."""
        order = await self.order(order_id)
        if not order.has("payment-auth-in-progress"):
            await self.begin_payment(order_id)
        return await self._append(self.payment, order_id, PaymentAuthFailed(1, reason))

    async def prepare(self, order_id: str) -> Event:
        """Append everything up to shipping-prepared."""
        if not (await self.order(order_id)).captured:
            await self.capture(order_id)
        lock = await self._append(self.shipping, order_id, ShippingPreparationInProgress())
        return await self._append(self.shipping, order_id, ShippingPrepared("par_1", lock.version))

    async def ship(self, order_id: str, carrier: str = "DHL", tracking: str = "JJD1") -> Event:
        """Append everything up to shipped."""
        await self.prepare(order_id)
        return await self._append(self.shipping, order_id, Shipped(carrier, tracking))

    async def cancel(self, order_id: str) -> Order:
        """Cancel as the customer."""
        return await self.command(CancelOrder(order_id, "customer"))

    async def move(self, order_id: str, address: Address) -> Order:
        """Change the shipping address as the customer."""
        return await self.command(UpdateShippingAddress(order_id, address))

    async def command(self, command: Command) -> Order:
        """Carry out a customer's command."""
        return (await self.gateway.execute(command, sample_intent())).order

    async def order(self, order_id: str) -> Order:
        """Return the order as it is now."""
        return await self.gateway.order(order_id)

    async def types(self, order_id: str) -> list[str]:
        """Return the types of the order's events."""
        return [event.type.name for event in await self.gateway.events(order_id)]

    async def message(self, order_id: str, event_type: str) -> Message:
        """Return the published message of this event, once the relay has published it."""
        event_id = (await self.order(order_id)).happened[event_type].event_id
        await until(lambda: self._find(event_id) is not None)
        message = self._find(event_id)
        assert message is not None
        return message

    def _find(self, event_id: str) -> Message | None:
        messages = (outgoing.message for outgoing in self._broker.published)
        return next((found for found in messages if found.message_id == event_id), None)

    async def _append(self, client: LocalOrderEvents, order_id: str, body: Body) -> Event:
        event_id = Ids.derived("evt", order_id, type(body).__name__, 1)
        recorded = await client.append(order_id, event_id, body, correlation_id="req_1")
        return recorded.event


@asynccontextmanager
async def open_shop(folder: Path) -> AsyncIterator[Shop]:
    """Run an Order Event Service in ``folder`` and the shop over it."""
    host, broker = production_host(folder), RecordingPublisher()
    async with order_events_parts(folder, host=host, publisher=broker) as parts:
        yield Shop(parts, broker, host)
