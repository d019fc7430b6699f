"""Taking the money for an order: one attempt, resumed from wherever it was left.

    payment-auth-in-progress    the lock; refused: the order was cancelled, nothing is done
    re-read                     the card as of the lock's own version; cancelled: no call
    authorise                   declined: payment-auth-failed with the reason
    re-read                     cancelled: void, payment-auth-failed (order-cancelled)
    capture                     payment-captured

Only the lock's own committed event permits a call. A cancel that slips in between the second
re-read and the capture is not prevented: the capture is recorded, and the refund is owed.

If the process dies, the lock's event id leads the next run back here (the append returns the
original). What was asked of the provider is in the journal, or found by key.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from actors.domain.events import (
    Body,
    PaymentAuthFailed,
    PaymentAuthInProgress,
    PaymentCaptured,
)
from actors.domain.order_events import OrderEvents, OrderWith, Recorded
from actors.domain.values import Money
from actors.payment.calls import Calls, Desk
from actors.payment.journal import Call, CallKind
from actors.payment.naming import call_key, event_id
from actors.payment.provider import Authorised, Captured, Declined, Voided
from runtime.errors import Rejection, Unavailable, Unprocessable

ATTEMPT = 1
OVERTAKEN = Declined("order-cancelled")


class Attempt(msgspec.Struct, frozen=True):
    """What one attempt is about: fixed by the stream up to its lock, so always the same.

    ``token`` is None once the order was erased.
    """

    order_id: str
    number: int
    amount: Money
    token: str | None
    version: int


class Charges:
    """Carries out attempts, one order at a time (its lane sees to that)."""

    def __init__(self, orders: OrderEvents, desk: Desk) -> None:
        self._orders = orders
        self._desk = desk

    async def run(self, order_id: str, correlation_id: str) -> None:
        """Begin or resume the order's attempt, and state how it ended.

        Raises `Rejection` if it may not begin; `Unavailable` to be run again; `Unprocessable` for a
        person to look at. Running it again after it has ended does nothing.
        """
        lock = await self._lock(order_id, correlation_id)
        if lock.replayed and not (await self._orders.order(order_id)).attempt_open:
            return
        with _naming_the_lock(order_id):
            await self._charge(lock, correlation_id)

    async def _lock(self, order_id: str, correlation_id: str) -> Recorded:
        """Append the lock. Died before: nothing happened. Died after: the same append returns it.

        Not finding the order is not a refusal: its event may be on the way (or a backup is old).
        """
        body = PaymentAuthInProgress(ATTEMPT)
        try:
            return await self._append(order_id, body, correlation_id)
        except Rejection as refusal:
            if refusal.code == "not-found":
                raise Unavailable(f"{order_id} is not in the store yet") from refusal
            raise

    async def _charge(self, lock: Recorded, correlation_id: str) -> None:
        event = lock.event
        found = await self._orders.order_with(event.order_id, "payment", at_version=event.version)
        attempt = _attempt(found)
        calls = await self._desk.calls(event.order_id, resumed=lock.replayed)
        outcome = await self._take(attempt, calls)
        async with calls.written_down():
            await self._state(attempt, outcome, correlation_id)

    async def _take(self, attempt: Attempt, calls: Calls) -> Captured | Declined:
        """Authorise, look again, capture. Died anywhere: see `Calls.make`."""
        authorised = await calls.known(call_key(attempt.order_id, "authorise", attempt.number))
        if authorised is None:
            authorised = await self._authorise(attempt, calls)
        if isinstance(authorised, Declined):
            return authorised
        assert isinstance(authorised, Authorised), f"authorise did {authorised}"
        captured = await calls.known(call_key(attempt.order_id, "capture", attempt.number))
        if captured is None:
            if await self._cancelled(attempt):
                return await self._void(attempt, calls, authorised)
            captured = await self._capture(attempt, calls, authorised)
        assert isinstance(captured, Captured | Declined), f"capture did {captured}"
        return captured

    async def _authorise(self, attempt: Attempt, calls: Calls) -> Authorised | Declined:
        """Ask for the money, unless the order was cancelled since the lock.

        A request that is still on its way from a dead run may then reserve money that nobody
        captures; the reservation lapses by itself.
        """
        if await self._cancelled(attempt):
            return OVERTAKEN
        token = attempt.token
        if token is None:
            raise Unprocessable("erased", "the card's token is no longer in the vault")
        call = _call(calls, attempt, "authorise")
        return await calls.make(
            call,
            lambda: self._desk.provider.authorise(
                call.key, token, attempt.amount, attempt.order_id
            ),
        )

    async def _capture(
        self, attempt: Attempt, calls: Calls, authorised: Authorised
    ) -> Captured | Declined:
        call = _call(calls, attempt, "capture")
        return await calls.make(
            call,
            lambda: self._desk.provider.capture(
                call.key, authorised.authorisation_id, attempt.amount
            ),
        )

    async def _void(
        self, attempt: Attempt, calls: Calls, authorised: Authorised
    ) -> Captured | Declined:
        """Give the reservation up. A capture still on its way may be faster: then it counts."""
        call = _call(calls, attempt, "void")
        voided: Voided | Captured | None = None
        known = await calls.known(call.key)
        if isinstance(known, Voided | Captured):
            voided = known
        if voided is None:
            voided = await calls.make(
                call,
                lambda: self._desk.provider.void(call.key, authorised.authorisation_id),
            )
        return voided if isinstance(voided, Captured) else OVERTAKEN

    async def _cancelled(self, attempt: Attempt) -> bool:
        return (await self._orders.order(attempt.order_id)).cancelled

    async def _state(
        self, attempt: Attempt, outcome: Captured | Declined, correlation_id: str
    ) -> None:
        """Append the fact. Died before: the outcome is in the journal. Died after: same id again.

        Facts are never refused for what was decided since; a refusal is a bug of ours, and must not
        be taken for "nothing to do".
        """
        body: Body
        if isinstance(outcome, Captured):
            body = PaymentCaptured(
                attempt.number, outcome.charge_id, attempt.amount, attempt.version
            )
        else:
            body = PaymentAuthFailed(attempt.number, outcome.reason)
        try:
            await self._append(attempt.order_id, body, correlation_id)
        except Rejection as refusal:
            raise AssertionError(f"a payment fact was refused: {refusal}") from refusal

    async def _append(self, order_id: str, body: Body, correlation_id: str) -> Recorded:
        return await self._orders.append(
            order_id, event_id(order_id, body, ATTEMPT), body, correlation_id=correlation_id
        )


def _attempt(found: OrderWith) -> Attempt:
    order, token = found.order, found.personal.payment_token
    assert order.attempt is not None, f"{order.id} has no attempt at version {order.version}"
    return Attempt(order.id, order.attempt, order.total, token, order.version)


def _call(calls: Calls, attempt: Attempt, kind: CallKind) -> Call:
    key = call_key(attempt.order_id, kind, attempt.number)
    return calls.call(kind, key, attempt.amount, attempt.version)


@contextmanager
def _naming_the_lock(order_id: str) -> Iterator[None]:
    """Say in what gets parked which lock it leaves behind."""
    held = f"{order_id} stays locked by payment-auth-in-progress (attempt {ATTEMPT})"
    try:
        yield
    except Unprocessable as error:
        raise Unprocessable(error.reason, f"{error}; {held}") from error
    except Unavailable as error:
        raise Unavailable(
            f"{error}; {held}", retry_after_s=error.retry_after_s, gives_up=error.gives_up
        ) from error
