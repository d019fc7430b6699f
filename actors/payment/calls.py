"""How the provider is asked: never twice for one thing, whatever happens in between.

The law: the intent is on disk before a request leaves; an unknown outcome is looked up by its key
before anything else is done; the same key is sent again only while the provider surely remembers
it. A key names the order, the kind of call and the attempt, so a new key means a new attempt.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import anyio

from actors.domain.values import Money
from actors.payment import journal
from actors.payment.journal import Call, CallKind
from actors.payment.provider import KEY_LIFE_S, KeyConflict, Outcome, PaymentProvider
from runtime.database import Database
from runtime.errors import Unavailable, Unprocessable
from runtime.host import Clock
from runtime.telemetry import Telemetry

# Longer than the slowest card of the sandbox; what takes longer is unknown, not failed.
CALL_S_MAX = 30.0
# Stop before the provider forgets: clocks differ, and a request takes its time.
KEY_TRUSTED_S = KEY_LIFE_S - 3600.0

T = TypeVar("T")
O = TypeVar("O", bound=Outcome)  # noqa: E741


class Desk:
    """Where calls are made: the provider, the journal, and the clock that ages keys."""

    def __init__(
        self, provider: PaymentProvider, database: Database, clock: Clock, telemetry: Telemetry
    ) -> None:
        self.provider = provider
        self.database = database
        self.telemetry = telemetry
        self._clock = clock

    def now_ms(self) -> int:
        """Return Unix time in milliseconds."""
        return int(self._clock.wall() * 1000)

    async def calls(self, order_id: str, *, resumed: bool) -> "Calls":
        """Return the order's calls. ``resumed``: somebody may have made some of them before."""
        rows: dict[str, Call] = {}
        if resumed:
            rows = await self.database.read(partial(journal.calls_of, order_id=order_id))
        return Calls(self, order_id, rows, resumed=resumed)

    async def forget(self, order_id: str, *kinds: CallKind) -> None:
        """Clear the journal of calls whose outcome is in the stream."""
        await self.database.write(partial(journal.forget, order_id=order_id, kinds=kinds))


class Calls:
    """One order's calls, in one run of its handler. Made by `Desk.calls`."""

    def __init__(self, desk: Desk, order_id: str, rows: dict[str, Call], *, resumed: bool) -> None:
        self._desk = desk
        self._order_id = order_id
        self._rows = rows
        self._resumed = resumed
        self._unwritten: dict[str, Outcome] = {}

    async def known(self, key: str) -> Outcome | None:
        """Return what the call with this key did; None if it certainly had no effect until now.

        An outcome that was not written down is looked up at the provider; so is one of a run whose
        journal is lost.
        """
        row = self._rows.get(key)
        if row is not None and row.outcome is not None:
            return row.outcome
        if not self._resumed:
            return None
        found = await _bounded(self._desk.provider.lookup(key))
        if found is not None:
            self._unwritten[key] = found
        return found

    async def make(self, call: Call, send: Callable[[], Awaitable[O]]) -> O:
        """Write the intent down, send the request, return its outcome.

        Died before the intent: nothing happened. Died after it: the next run looks the key up.
        Raises `Unavailable` (the outcome is unknown) and `Unprocessable` (see `_refuse_expired`).
        """
        self._refuse_expired(call.key)
        result = "unknown"
        try:
            await self._begin(call)
            outcome = await _bounded(send())
            result = str(type(outcome).__struct_config__.tag)
        except KeyConflict as error:
            raise Unprocessable("provider-key-conflict", str(error)) from error
        finally:
            self._desk.telemetry.count("payment_calls_total", kind=call.kind, result=result)
        self._unwritten[call.key] = outcome
        return outcome

    async def _begin(self, call: Call) -> None:
        answers = dict(self._unwritten)
        await self._desk.database.write(partial(journal.begin, call=call, answers=answers))
        self._unwritten.clear()

    def call(self, kind: CallKind, key: str, amount: Money, version: int) -> Call:
        """Return the call as of now."""
        return Call(key, self._order_id, kind, amount, version, self._desk.now_ms())

    @asynccontextmanager
    async def written_down(self) -> AsyncIterator[None]:
        """Do `write_down` if the block, which states the outcomes, fails.

        If it does not, the stream has them. Died in between: they are looked up by their keys.
        """
        try:
            yield
        except Exception:
            await self.write_down()
            raise

    async def write_down(self) -> None:
        """Commit the outcomes that are known and not written yet."""
        if self._unwritten:
            answers = dict(self._unwritten)
            await self._desk.database.write(partial(journal.answered, answers=answers))
            self._unwritten.clear()

    def _refuse_expired(self, key: str) -> None:
        """Keep an old key from being sent again: a person decides.

        The look-up before has found nothing. Money is *taken* a day late only if a person says so
        (by cancelling the order, or by talking to the provider); it is given *back* without one,
        because the look-up reads the provider's books and a refund is owed until it is done.
        """
        row = self._rows.get(key)
        if row is None or self._desk.now_ms() - row.called_at_ms < KEY_TRUSTED_S * 1000:
            return
        self._desk.telemetry.event(
            "payment.key-expired",
            "error",
            order_id=row.order_id,
            kind=row.kind,
            called_at_ms=row.called_at_ms,
        )
        if row.kind in ("authorise", "capture"):
            raise Unprocessable(
                "provider-key-expired",
                f"the outcome of {row.kind} is unknown and its key is too old to be sent again",
            )


async def _bounded(request: Awaitable[T]) -> T:
    """Wait for the provider, but not for ever."""
    try:
        with anyio.fail_after(CALL_S_MAX):
            return await request
    except TimeoutError as error:
        raise Unavailable(f"the provider did not answer within {CALL_S_MAX:g} s") from error
