"""The shipping service: a paid order becomes a parcel.

    lock      append shipping-preparation-in-progress: from here on nobody changes the address
    read      the order as it was at the lock's version, and the address it names
    pack      the carrier makes the parcel (one key for each order)
    prepared  append shipping-prepared, with the parcel and the version of the address

Every step is idempotent where it takes effect - the log knows the event's id, the carrier the
parcel's key - so whoever dies anywhere, and even loses the inbox, does it all again and changes
nothing. The address is the one at the lock's version, never the current one: two readers of the log
agree on it, whatever is appended later.
"""

import msgspec

from actors.domain.events import (
    ShippingPreparationInProgress,
    ShippingPrepared,
    decode_message,
)
from actors.domain.order_events import OrderEvents
from actors.domain.rules import CANCELLED, SHIPPING_LOCK
from actors.domain.values import Address
from actors.shipping.carrier import Carrier
from runtime.errors import Rejection, Unavailable, Unprocessable
from runtime.host import Ids
from runtime.inbox import Claim
from runtime.message import Message

PACKED = "packed"


class Packed(msgspec.Struct, frozen=True):
    """What the step ``packed`` has led to."""

    parcel_id: str
    address_version: int


_PACKED = msgspec.json.Decoder(Packed)


def order_of(message: Message) -> str:
    """Return the order that a message is about; `Unprocessable` where it cannot be read."""
    return decode_message(message.body).order_id


class ShippingService:
    """Handles the messages of the queue ``shipping``."""

    def __init__(self, order_events: OrderEvents, carrier: Carrier) -> None:
        self._order_events = order_events
        self._carrier = carrier

    async def prepare(self, message: Message, claim: Claim) -> None:
        """Handle ``payment-captured``.

        A `Rejection` (the order was cancelled first) means that there is nothing to do.
        """
        order_id = order_of(message)
        step = claim.completed.get(PACKED)
        if step is None:
            packed = await self._pack(order_id, await self._lock(order_id, message))
            # Dying before this step is recorded: the carrier finds the parcel by its key.
            await claim.complete(PACKED, msgspec.json.encode(packed))
        else:
            packed = _PACKED.decode(step)
        await self._append_prepared(order_id, packed, message)

    async def _lock(self, order_id: str, message: Message) -> int:
        """Append the lock; return its version.

        Point of no return: its commit. Before it, dying leaves the order as it was, and a cancel
        may still win. After it, the order waits for us: the message comes again and finds its own
        lock by the event's id.
        """
        event_id = Ids.derived("evt", order_id, SHIPPING_LOCK, 1)
        try:
            recorded = await self._order_events.append(
                order_id,
                event_id,
                ShippingPreparationInProgress(),
                correlation_id=message.message_id,
            )
        except Rejection as refusal:
            if _blocked_by(refusal) == CANCELLED:
                raise
            # Nothing else may refuse it. If something does, the log is behind the message (it was
            # restored from a backup, say): acknowledging that silently would lose the order.
            raise Unavailable(f"{order_id}: no lock: {refusal.code}") from refusal
        return recorded.event.version

    async def _pack(self, order_id: str, version: int) -> Packed:
        """Read the order at the lock's version, and have its parcel made.

        Point of no return: the carrier's commit. Before it, dying costs nothing; after it, the same
        key finds the same parcel.
        """
        try:
            found = await self._order_events.order_with(order_id, "address", at_version=version)
        except Rejection as refusal:
            raise Unavailable(f"{order_id}: not readable: {refusal.code}") from refusal
        address = _present(found.personal.address, order_id, version)
        key = Ids.derived("pack", order_id)
        parcel = await self._carrier.prepare(key, order_id, address, found.order.items)
        return Packed(parcel.parcel_id, version)

    async def _append_prepared(self, order_id: str, packed: Packed, message: Message) -> None:
        """Append the fact that the parcel stands ready.

        Point of no return: its commit. Before it, dying means that the message comes again with
        the step ``packed`` done; after it, the append finds the event by its id.
        """
        event_id = Ids.derived("evt", order_id, "shipping-prepared", 1)
        body = ShippingPrepared(packed.parcel_id, packed.address_version)
        try:
            await self._order_events.append(
                order_id, event_id, body, correlation_id=message.message_id
            )
        except Rejection as refusal:
            message_text = f"{order_id} holds {SHIPPING_LOCK}, and its parcel was refused"
            raise Unprocessable(refusal.code, message_text) from refusal


def _blocked_by(refusal: Rejection) -> str | None:
    blocking = refusal.details.get("blocking_event")
    return blocking.get("type") if isinstance(blocking, dict) else None


def _present(address: Address | None, order_id: str, version: int) -> Address:
    if address is None:
        held = f"{order_id} holds {SHIPPING_LOCK} (version {version})"
        raise Unprocessable("erased", f"{held}, and its address was erased")
    return address
