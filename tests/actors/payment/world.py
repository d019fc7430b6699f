"""A payment service with real neighbours, and a script that strikes at any of its port calls.

Order-events, both databases and the sandbox provider are real; only the deliveries are made here.
Everything the handlers do to the outside is a numbered port call (an append, a read, a request, a
write); a script lets something happen right before or after one of them: death, a lost answer, a
customer's cancellation. A death is a new incarnation over the same databases.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal, TypeVar, cast

import anyio

from actors.domain.events import Body, encode_body, encode_message
from actors.domain.order import Order
from actors.domain.order_events import (
    CancelOrder,
    OrderEvents,
    OrderWith,
    PersonalKind,
    Recorded,
)
from actors.domain.values import Money
from actors.order_events.parts import OrderEventsParts
from actors.payment import journal
from actors.payment.assembly import MIGRATIONS
from actors.payment.calls import Desk
from actors.payment.provider import (
    Authorised,
    Captured,
    Declined,
    Outcome,
    PaymentProvider,
    Refunded,
    Voided,
)
from actors.payment.sandbox import SandboxProvider, open_sandbox
from actors.payment.sandbox_books import LedgerEntry, Personality
from actors.payment.service import PaymentService
from actors.payment.signals import EVENTS, METRICS
from runtime.database import Database, Query, open_database
from runtime.errors import Rejection, Unavailable, Unprocessable
from runtime.host import production_host
from runtime.inbox import Claim
from runtime.message import Message
from runtime.telemetry import Telemetry
from runtime.transaction import Transaction, Work
from tests.harness.order_events import order_events_parts, sample_intent
from tests.harness.orders import TOTAL, sample_placing

T = TypeVar("T")
Side = Literal["before", "after"]
Strike = Callable[[], Awaitable[None]]


class Died(BaseException):
    """The process ended here."""


async def die() -> None:
    raise Died


async def lose() -> None:
    raise Unavailable("no answer")


class Ending:
    """The part of a claim that the handlers use."""

    def __init__(self) -> None:
        self._last: list[Work[object]] = []

    def at_end(self, work: Work[object]) -> None:
        self._last.append(work)

    def settle(self, tx: Transaction) -> None:
        for work in self._last:
            work(tx)


class SetClock:
    """A wall clock that tests set."""

    def __init__(self) -> None:
        self.at_s = 1_800_000_000.0

    def monotonic(self) -> float:
        return anyio.current_time()

    def wall(self) -> float:
        return self.at_s


class Script:
    """Numbers the port calls and strikes where the test wants it; ``log`` names them."""

    def __init__(self, strikes: Mapping[tuple[int, Side], Strike] | None = None) -> None:
        self.strikes = dict(strikes or {})
        self.log: list[str] = []

    async def call(self, name: str, run: Callable[[], Awaitable[T]]) -> T:
        number = len(self.log)
        self.log.append(name)
        await self._strike(number, "before")
        result = await run()
        await self._strike(number, "after")
        return result

    async def _strike(self, number: int, side: Side) -> None:
        strike = self.strikes.pop((number, side), None)
        if strike is not None:
            await strike()


class ScriptedOrders:
    """`OrderEvents` as far as the payment service uses it."""

    def __init__(self, orders: OrderEvents, script: Script) -> None:
        self._orders = orders
        self._script = script

    async def append(
        self,
        order_id: str,
        event_id: str,
        body: Body,
        *,
        correlation_id: str,
        expected_version: int | None = None,
    ) -> Recorded:
        return await self._script.call(
            f"append {type(body).__name__}",
            lambda: self._orders.append(
                order_id,
                event_id,
                body,
                correlation_id=correlation_id,
                expected_version=expected_version,
            ),
        )

    async def order(
        self, order_id: str, *, at_version: int | None = None, at_ms: int | None = None
    ) -> Order:
        name = "order" if at_version is None else "order at version"
        return await self._script.call(
            name, lambda: self._orders.order(order_id, at_version=at_version, at_ms=at_ms)
        )

    async def order_with(
        self, order_id: str, *kinds: PersonalKind, at_version: int | None = None
    ) -> OrderWith:
        return await self._script.call(
            f"order with {' '.join(kinds)}",
            lambda: self._orders.order_with(order_id, *kinds, at_version=at_version),
        )

    async def refunds_due(self) -> list[str]:
        return await self._orders.refunds_due()


class ScriptedProvider:
    """A `PaymentProvider` with the script around it."""

    def __init__(self, provider: PaymentProvider, script: Script) -> None:
        self._provider = provider
        self._script = script

    async def authorise(
        self, key: str, token: str, amount: Money, order_id: str
    ) -> Authorised | Declined:
        return await self._script.call(
            "authorise", lambda: self._provider.authorise(key, token, amount, order_id)
        )

    async def capture(self, key: str, authorisation_id: str, amount: Money) -> Captured | Declined:
        return await self._script.call(
            "capture", lambda: self._provider.capture(key, authorisation_id, amount)
        )

    async def void(self, key: str, authorisation_id: str) -> Voided | Captured:
        return await self._script.call("void", lambda: self._provider.void(key, authorisation_id))

    async def refund(self, key: str, charge_id: str, amount: Money) -> Refunded:
        return await self._script.call(
            "refund", lambda: self._provider.refund(key, charge_id, amount)
        )

    async def lookup(self, key: str) -> Outcome | None:
        return await self._script.call("lookup", lambda: self._provider.lookup(key))


class ScriptedDatabase:
    """The journal's database with the script around its writes."""

    def __init__(self, database: Database, script: Script) -> None:
        self._database = database
        self._script = script

    async def write(self, work: Work[T]) -> T:
        return await self._script.call("journal", lambda: self._database.write(work))

    async def read(self, query: Query[T]) -> T:
        return await self._database.read(query)


class World:
    """Everything outside the payment service, and its durable state."""

    def __init__(
        self,
        parts: OrderEventsParts,
        database: Database,
        sandbox: SandboxProvider,
        clock: SetClock,
        log: list[str],
    ) -> None:
        self.gateway = parts.client("gateway")
        self.orders = parts.client("payment")
        self.database = database
        self.sandbox = sandbox
        self.clock = clock
        self.lines = log
        self.telemetry = Telemetry(
            wall=clock.wall, log_format="json", write=log.append, metrics=METRICS, events=EVENTS
        )

    def desk(self, script: Script | None = None, provider: PaymentProvider | None = None) -> Desk:
        script = script or Script()
        database = cast("Database", ScriptedDatabase(self.database, script))
        provider = ScriptedProvider(provider or self.sandbox, script)
        return Desk(provider, database, self.clock, self.telemetry)

    def service(
        self, script: Script | None = None, provider: PaymentProvider | None = None
    ) -> PaymentService:
        """A new incarnation."""
        script = script or Script()
        orders = cast("OrderEvents", ScriptedOrders(self.orders, script))
        return PaymentService(orders, self.desk(script, provider))

    async def place(self, token: str = "pm_card_visa") -> str:
        """Place an order; return its id."""
        return (await self.gateway.execute(sample_placing(token=token), sample_intent())).order.id

    async def cancel(self, order_id: str) -> None:
        """Cancel as a customer would, once."""
        if not (await self.gateway.order(order_id)).cancelled:
            await self.gateway.execute(CancelOrder(order_id, "customer"), sample_intent())

    async def types(self, order_id: str) -> list[str]:
        """The order's events, without the first."""
        return [event.type.name for event in await self.gateway.events(order_id)][1:]

    async def failure(self, order_id: str) -> str | None:
        """Why the payment failed."""
        return (await self.gateway.order(order_id)).failure

    async def books(self, order_id: str) -> list[LedgerEntry]:
        """What the provider did for this order."""
        return [row for row in await self.sandbox.ledger() if row.order_id == order_id]

    async def kinds(self, order_id: str) -> list[str]:
        """The kinds of the books' rows."""
        return [row.kind for row in await self.books(order_id)]

    async def message(self, order_id: str, name: str) -> Message | None:
        """The published message of this type, if its event has happened."""
        for event in await self.gateway.events(order_id):
            if event.type.name == name:
                body = encode_message(order_id, event.version, encode_body(event.body))
                return Message(
                    message_id=event.id,
                    type=event.type.message_type,
                    body=body,
                    correlation_id=event.correlation_id,
                    app_id=event.type.app_id,
                    timestamp=event.recorded_at_ms // 1000,
                )
        return None

    async def deliver(
        self,
        order_id: str,
        name: str = "order-created",
        *,
        script: Script | None = None,
        provider: PaymentProvider | None = None,
        attempts_max: int = 20,
    ) -> str:
        """Deliver until it settles: ``done``, ``discarded``, ``parked: reason`` or ``retrying``."""
        message = await self.message(order_id, name)
        if message is None:
            return "absent"
        for _ in range(attempts_max):
            try:
                await self.handle(message, script, provider)
            except (Died, Unavailable):
                continue
            except Rejection:
                return "discarded"
            except Unprocessable as error:
                return f"parked: {error.reason}"
            return "done"
        return "retrying"

    async def handle(
        self,
        message: Message,
        script: Script | None = None,
        provider: PaymentProvider | None = None,
    ) -> None:
        """Let a new incarnation handle a message once."""
        service = self.service(script, provider)
        handlers = {
            "order-created/v1": service.order_created,
            "order-cancelled/v1": service.order_cancelled,
        }
        claim = Ending()
        await handlers[message.type](message, cast("Claim", claim))
        await self.database.write(claim.settle)

    async def check(self, order_id: str, *, approves: bool = True, lapses: bool = False) -> None:
        """Check an order that nothing happens to any more, against the provider's books.

        ``approves``: its card is good. ``lapses``: a reservation may be left over.
        """
        order = await self.gateway.order(order_id)
        rows: dict[str, list[LedgerEntry]] = {}
        for row in await self.books(order_id):
            rows.setdefault(row.kind, []).append(row)
        captures, refunds = rows.get("capture", []), rows.get("refund", [])
        assert len(captures) <= 1
        assert len(refunds) <= len(captures)
        assert all((row.amount, row.currency) == (TOTAL.amount, TOTAL.currency) for row in captures)
        assert [row.id for row in captures] == ([order.charge_id] if order.captured else [])
        assert [row.id for row in refunds] == ([order.refund_id] if order.refund_id else [])
        assert order.cancelled or not refunds
        assert not order.refund_due
        assert not order.attempt_open
        if not order.cancelled:
            assert order.captured is approves
        assert not rows or order.has("payment-auth-in-progress")
        used = {row.of for row in (*captures, *rows.get("void", []))}
        assert lapses or {row.id for row in rows.get("authorise", [])} == used
        assert order_id not in await self.database.read(journal.open_orders)


@asynccontextmanager
async def payment_world(
    folder: Path, personality: Personality = "stores-all"
) -> AsyncIterator[World]:
    """Open everything the payment service lives with."""
    clock = SetClock()
    host = replace(production_host(folder), clock=clock)
    async with (
        order_events_parts(folder, host=host) as parts,
        open_sandbox(host, personality) as sandbox,
        open_database(host.disk, "payment.db", MIGRATIONS) as database,
    ):
        yield World(parts, database, sandbox, clock, [])
