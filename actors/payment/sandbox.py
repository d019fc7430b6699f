"""The built-in payment provider: a party of its own, with a database of its own.

It survives our crashes, so what it did can be compared with what our log says it did. Its manners
with idempotency keys are a setting, because real providers differ: ``stores-all`` remembers the
first response, a decline too, and refuses a key that is being worked on (409); ``stores-success``
remembers successes only, and lets a second request with the key wait for the first.

Amounts, tokens and behaviours: `actors.domain.cards`. No network: faults are put around the port.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio

from actors.domain.values import Money
from actors.payment import sandbox_books
from actors.payment.provider import (
    Authorised,
    Captured,
    Declined,
    KeyConflict,
    Outcome,
    Refunded,
    Voided,
)
from actors.payment.sandbox_books import (
    Conflict,
    Garbled,
    LedgerEntry,
    Personality,
    Request,
    RequestEntry,
    Response,
    Unreachable,
)
from runtime.database import Database, open_database
from runtime.errors import Unavailable, Unprocessable
from runtime.host import Clock, Host

FILE = "sandbox-provider.db"
SLOW_TOKEN = "pm_card_slow"  # noqa: S105
SLOW_S = 20.0
MIGRATIONS = (sandbox_books.SCHEMA,)


class SandboxProvider:
    """A `PaymentProvider` over the database ``database`` (see `open_sandbox`)."""

    def __init__(self, database: Database, clock: Clock, personality: Personality) -> None:
        self._database = database
        self._clock = clock
        self._personality = personality
        self._busy: dict[str, anyio.Event] = {}

    async def authorise(
        self, key: str, token: str, amount: Money, order_id: str
    ) -> Authorised | Declined:
        """Reserve; see `PaymentProvider`."""
        request = Request(key, "authorise", token, amount, order_id)
        outcome = await self._answer(request)
        if isinstance(outcome, Authorised | Declined):
            return outcome
        raise _unexpected(outcome)

    async def capture(self, key: str, authorisation_id: str, amount: Money) -> Captured | Declined:
        """Take; see `PaymentProvider`."""
        request = Request(key, "capture", authorisation_id, amount)
        outcome = await self._answer(request)
        if isinstance(outcome, Captured | Declined):
            return outcome
        raise _unexpected(outcome)

    async def void(self, key: str, authorisation_id: str) -> Voided | Captured:
        """Give up; see `PaymentProvider`."""
        request = Request(key, "void", authorisation_id)
        outcome = await self._answer(request)
        if isinstance(outcome, Voided | Captured):
            return outcome
        raise _unexpected(outcome)

    async def refund(self, key: str, charge_id: str, amount: Money) -> Refunded:
        """Give back; see `PaymentProvider`."""
        request = Request(key, "refund", charge_id, amount)
        outcome = await self._answer(request)
        if isinstance(outcome, Refunded):
            return outcome
        raise _unexpected(outcome)

    async def lookup(self, key: str) -> Outcome | None:
        """Find; see `PaymentProvider`."""
        found = await self._database.read(lambda books: sandbox_books.outcome_of(books, key))
        return None if found is None else _outcome(found)

    async def ledger(self) -> list[LedgerEntry]:
        """Return everything that happened to anybody's money, oldest first."""
        return await self._database.read(sandbox_books.ledger)

    async def requests(self) -> list[RequestEntry]:
        """Return every request that arrived, oldest first."""
        return await self._database.read(sandbox_books.requests)

    async def _answer(self, request: Request) -> Outcome:
        """Carry a request out. One that is cut off before its commit had no effect at all."""
        async with self._alone(request.key):
            if request.subject == SLOW_TOKEN:
                await anyio.sleep(SLOW_S)
            now_ms = int(self._clock.wall() * 1000)
            return _outcome(
                await self._database.write(
                    lambda tx: sandbox_books.respond(tx, request, self._personality, now_ms)
                )
            )

    @asynccontextmanager
    async def _alone(self, key: str) -> AsyncIterator[None]:
        while key in self._busy:
            if self._personality == "stores-all":
                raise Unavailable(f"a request with the key {key} is being worked on (409)")
            await self._busy[key].wait()
        done = self._busy[key] = anyio.Event()
        try:
            yield
        finally:
            del self._busy[key]
            done.set()


def _outcome(response: Response) -> Outcome:
    match response:
        case Unreachable():
            raise Unavailable("the card's processor cannot be reached")
        case Garbled():
            raise Unprocessable("provider-answer", "the provider's answer cannot be processed")
        case Conflict():
            raise KeyConflict("the idempotency key belongs to another request")
        case _:
            return response


def _unexpected(outcome: Outcome) -> Unprocessable:
    return Unprocessable("provider-answer", f"the provider answered {outcome}")


@asynccontextmanager
async def open_sandbox(
    host: Host, personality: Personality = "stores-all"
) -> AsyncIterator[SandboxProvider]:
    """Open the provider's own database in the host's folder, and the provider over it."""
    async with open_database(host.disk, FILE, MIGRATIONS) as database:
        yield SandboxProvider(database, host.clock, personality)
