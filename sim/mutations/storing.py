"""Defects of the event store, its commits, its guards, and of the outbox."""

from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import count
from typing import Any, cast

import runtime.transaction
from actors.domain import rules
from actors.domain.order import Order
from actors.order_events import appending, deciding, idempotency
from runtime import outbox, outbox_rows
from runtime.amqp.confirms import Flight
from runtime.amqp.publisher import LinkPublisher
from runtime.database import Database
from runtime.groups import Group
from runtime.message import Message
from runtime.outbox import Relay
from runtime.publishing import Outgoing
from runtime.transaction import Transaction
from sim.mutations.patching import Patch


def answers_before_the_commit(patch: Patch) -> None:
    """Answers are given when they are known, not when they are durable."""

    def begin(name: str, group: Group[Transaction], connection: Any) -> None:
        original(name, group, cast("Any", _Uncommitted(connection)))

    async def commit(self: Any, group: Group[Transaction]) -> None:
        await self._writing.visit(partial(begin, self._name, group))
        for slot in group.slots:
            slot.tell()
        await self._writing.visit(_commit_if_open)
        self._dirty.set()

    original = runtime.transaction.commit
    patch.set(Database, "_commit", commit)


class _Uncommitted:
    """A connection whose COMMIT comes later."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str, *given: Any) -> Any:
        return self._connection.execute("SELECT 1" if sql == "COMMIT" else sql, *given)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def _commit_if_open(connection: Any) -> None:
    if connection.in_transaction:
        connection.execute("COMMIT")


def cache_kept_after_a_failed_commit(patch: Patch) -> None:
    """What was staged stays in the cache although its transaction was rolled back."""

    def undo(self: Transaction) -> None:
        self.notices.clear()
        self.undos.clear()

    patch.set(Transaction, "undo", undo)


def no_idempotency_record(patch: Patch) -> None:
    """A key is accepted, and what was answered to it is not kept."""
    patch.set(idempotency, "remember", lambda *given: None)


def guard_outside_the_transaction(patch: Patch) -> None:
    """Customers' commands are checked against the order as it was one event ago."""
    before: dict[str, list[Order]] = {}

    def decide(order: Order | None, body: Any) -> Any:
        if order is None:
            return original(order, body)
        seen = before.setdefault(order.id, [order])
        if seen[-1].version != order.version:
            seen.append(order)
        return original(seen[-2] if len(seen) > 1 else order, body)

    original = rules.decide
    patch.set(deciding, "rules", _Rules(decide))


class _Rules:
    def __init__(self, decide: Callable[..., Any]) -> None:
        self.decide = decide


# -- the outbox -----------------------------------------------------------------------------------


def removed_before_the_confirm(patch: Patch) -> None:
    """A row leaves the outbox when its message is sent, not when it is confirmed."""

    async def send(self: Any) -> Exception | None:
        heads = [(lane.head,) for lane in self._lanes.values() if lane.row is not None]
        if heads:
            await self._database.write(partial(outbox_rows.remove, heads))
        failure: Exception | None = await original(self)
        return failure

    original = patch.set(Relay, "_send", send)


def confirms_off(patch: Patch) -> None:
    """What was written to the socket counts as published."""

    async def landing(self: Any, session: Any, channel: Any, event: Any, since: float) -> None:
        return

    patch.set(LinkPublisher, "_landing", landing)


def returned_means_sent(patch: Patch) -> None:
    """A message that no queue takes is returned, then acknowledged - and only that is heard."""
    patch.set(Flight, "refuse", lambda self, place, failure: None)


def nack_means_sent(patch: Patch) -> None:
    """A message that the broker refuses counts as published."""
    original: Any = patch.set(
        Flight, "settle", lambda self, place, failure: original(self, place, None)
    )


def published_without_the_outbox(patch: Patch) -> None:
    """A message is handed to the publisher after the commit; what a crash finds there is lost."""
    waiting: deque[Outgoing] = deque()

    def enqueue(
        tx: Transaction, key: str, exchange: str, routing_key: str, message: Message
    ) -> None:
        tx.on_commit(partial(waiting.append, Outgoing(exchange, routing_key, message)))

    async def send(self: Any) -> Exception | None:
        batch = [waiting.popleft() for _ in range(len(waiting))]
        if batch:
            await self._publisher.publish_batch(batch)
        return None

    patch.set(appending, "outbox", _Outbox(enqueue))
    patch.set(Relay, "_send", send)


class _Outbox:
    def __init__(self, enqueue: Callable[..., None]) -> None:
        self.enqueue = enqueue


def another_id_on_republish(patch: Patch) -> None:
    """A message that is sent again gets another id: nobody knows it for the same."""
    numbers = count(1)

    def outgoing(self: Any) -> Outgoing:
        made: Outgoing = original(self)
        message = made.message
        other = f"{message.message_id}-{next(numbers)}"
        copy = Message(
            message_id=other,
            type=message.type,
            body=message.body,
            correlation_id=message.correlation_id,
            app_id=message.app_id,
            timestamp=message.timestamp,
            headers=message.headers,
        )
        return Outgoing(made.exchange, made.routing_key, copy)

    original = patch.set(outbox_rows.Row, "outgoing", outgoing)


def order_of_a_key_lost(patch: Patch) -> None:
    """Messages of one order are sent as they come, several at once, the later ones first."""

    def enqueue(
        tx: Transaction, key: str, exchange: str, routing_key: str, message: Message
    ) -> None:
        original(tx, f"{key}/{message.message_id}", exchange, routing_key, message)

    async def send(self: Any) -> Exception | None:
        self._lanes = dict(reversed(self._lanes.items()))
        failure: Exception | None = await send_all(self)
        return failure

    original = outbox.enqueue
    patch.set(appending, "outbox", _Outbox(enqueue))
    send_all = patch.set(Relay, "_send", send)
