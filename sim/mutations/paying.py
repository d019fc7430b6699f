"""Defects of the services: payment, shipping, notification."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import actors.notification.service as notification
from actors.notification.mails import MailId
from actors.notification.service import NotificationService
from actors.payment import charge, refund
from actors.payment.calls import Calls
from actors.payment.charge import Charges
from actors.payment.service import PaymentService, order_of
from actors.payment.sweeper import Sweeper
from actors.shipping.service import ShippingService
from runtime.errors import Rejection, Unavailable, Unprocessable
from runtime.message import Message
from sim.mutations.patching import Patch


def no_resume_of_open_attempts(patch: Patch) -> None:
    """An attempt that somebody has begun is somebody else's: whoever comes later leaves it (P4)."""

    async def run(self: Any, order_id: str, correlation_id: str) -> None:
        lock = await self._lock(order_id, correlation_id)
        if not lock.replayed:
            await self._charge(lock, correlation_id)

    patch.set(Charges, "run", run)


def refund_only_on_cancellation(patch: Patch) -> None:
    """A refund is decided when order-cancelled is handled, and never looked at again (P3)."""

    async def order_created(self: Any, message: Message, _claim: Any) -> None:
        order_id = order_of(message)
        await self._charges.run(order_id, message.message_id)

    async def sweep(self: Any) -> None:
        return

    patch.set(PaymentService, "order_created", order_created)
    patch.set(Sweeper, "sweep", sweep)


def new_key_after_a_timeout(patch: Patch) -> None:
    """Each try at the provider has a key of its own, so a repeated one is another request (P7)."""
    numbers = count(1)
    original: Any = patch.set(
        charge,
        "call_key",
        lambda order_id, kind, attempt: f"{original(order_id, kind, attempt)}/{next(numbers)}",
    )


def new_key_for_each_refund(patch: Patch) -> None:
    """Each try at a refund has a key of its own (P9)."""
    numbers = count(1)
    original: Any = patch.set(
        refund, "refund_key", lambda order_id: f"{original(order_id)}/{next(numbers)}"
    )


def no_lookup_after_a_crash(patch: Patch) -> None:
    """What the provider did with a request whose answer was lost is taken for "nothing"."""

    async def known(self: Any, key: str) -> Any:
        row = self._rows.get(key)
        return None if row is None else row.outcome

    patch.set(Calls, "known", known)


def state_read_before_the_lock(patch: Patch) -> None:
    """The card is read first, and the lock is appended after that (G3)."""
    seen: dict[str, Any] = {}

    async def lock(self: Any, order_id: str, correlation_id: str) -> Any:
        try:
            seen.setdefault(order_id, await self._orders.order_with(order_id, "payment"))
        except Rejection:
            seen.pop(order_id, None)
        return await original(self, order_id, correlation_id)

    def attempt(found: Any) -> Any:
        order = found.order
        token = seen.get(order.id, found).personal.payment_token
        return charge.Attempt(order.id, order.attempt, order.total, token, order.version)

    original = patch.set(Charges, "_lock", lock)
    patch.set(charge, "_attempt", attempt)


def address_read_before_the_lock(patch: Patch) -> None:
    """The address is read first, and the lock is appended after that (G4)."""

    async def lock(self: Any, order_id: str, message: Message) -> int:
        order = await self._order_events.order(order_id)
        await original(self, order_id, message)
        version: int = order.version
        return version

    original = patch.set(ShippingService, "_lock", lock)


def capture_without_another_look(patch: Patch) -> None:
    """Between authorising and capturing nobody asks whether the order still stands (P2)."""

    async def cancelled(self: Any, attempt: Any) -> bool:
        return False

    patch.set(Charges, "_cancelled", cancelled)


def refund_gives_up(patch: Patch) -> None:
    """A refund that fails is given up, and its message parked, instead of tried for ever (P13)."""

    @contextmanager
    def giving_up() -> Iterator[None]:
        try:
            yield
        except Unavailable as error:
            raise Unprocessable("no-refund", str(error)) from error

    patch.set(refund, "_never_giving_up", giving_up)


def failed_payment_is_mailed_after_a_cancellation(patch: Patch) -> None:
    """The mail about a failed payment is decided by the state of now, not of then (P14)."""
    patch.set(notification, "skip_reason", lambda order, event_type: None)


def mail_key_of_its_own_each_time(patch: Patch) -> None:
    """Each try at a mail has a key of its own: the mailer cannot know it for the same."""
    numbers = count(1)

    async def send(self: Any, mail: MailId, order: Any, customer: Any, *, again: bool) -> None:
        letter = self._letters.letter(mail.template, order, customer.name, customer.email)
        await self._mailer.send(f"{mail.key}.{next(numbers)}", letter)

    patch.set(NotificationService, "_send", send)
