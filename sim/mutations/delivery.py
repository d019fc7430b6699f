"""Defects between the broker and the handler: acks, inbox, hold, requeue, shutdown."""

from functools import partial
from itertools import count
from typing import Any

import anyio
import msgspec

import runtime.service
from runtime.amqp import awaiting, consumer
from runtime.amqp.address import Address
from runtime.amqp.consumer import Consumer, Delivery
from runtime.errors import Rejection, Unprocessable
from runtime.hold import Holds
from runtime.inbox import Claimed, Duplicate, claim, mark_held
from runtime.message import Message
from runtime.outcomes import RetryPolicy, Verdict, decide
from runtime.service import MessageService
from runtime.stored import properties_of
from runtime.supervisor import Supervisor
from runtime.transaction import Transaction
from sim.mutations.patching import Patch

LEASE_MS = 60_000


def ack_before_commit(patch: Patch) -> None:
    """A delivery is acknowledged when it arrives, not when its work is durable."""

    def receive(self: Any, delivery: Delivery) -> None:
        original(self, delivery)
        self._consumer.ack(delivery)

    original = patch.set(MessageService, "_receive", receive)
    patch.set(MessageService, "_acknowledge", lambda self, job: None)


def no_inbox(patch: Patch) -> None:
    """Nothing is remembered of a message once it is settled: every delivery is the first."""

    def forgetful(tx: Transaction, message: Message, incarnation: str, now_ms: int) -> Any:
        tx.connection.execute(
            "DELETE FROM inbox WHERE message_id = ? AND state <> 'held'", (message.message_id,)
        )
        return claim(tx, message, incarnation, now_ms)

    patch.set(runtime.service, "claim", forgetful)


def inbox_in_memory(patch: Patch) -> None:
    """The inbox is lost with the process."""

    async def work(self: Any, context: Any) -> None:
        await self._database.write(
            lambda tx: tx.connection.execute("DELETE FROM inbox WHERE state <> 'held'")
        )
        await original(self, context)

    original = patch.set(MessageService, "_work", work)


def lease_in_inbox(patch: Patch) -> None:
    """Somebody else's claim is respected for a minute: a restart acks its own work away."""

    def leased(tx: Transaction, message: Message, incarnation: str, now_ms: int) -> Any:
        row = tx.connection.execute(
            "SELECT state, incarnation, updated_at_ms FROM inbox WHERE message_id = ?",
            (message.message_id,),
        ).fetchone()
        others = row is not None and row[0] == "claimed" and row[1] != incarnation
        if others and now_ms - row[2] < LEASE_MS:
            return Duplicate(message.message_id, "claimed")
        return claim(tx, message, incarnation, now_ms)

    patch.set(runtime.service, "claim", leased)


def recovery_by_cleanup(patch: Patch) -> None:
    """A claim is given back by the code that runs at the end of a process - if it runs."""

    def claimed_for_good(tx: Transaction, message: Message, incarnation: str, now_ms: int) -> Any:
        row = tx.connection.execute(
            "SELECT state, incarnation FROM inbox WHERE message_id = ?", (message.message_id,)
        ).fetchone()
        if row is not None and row[0] == "claimed" and row[1] != incarnation:
            return Duplicate(message.message_id, "claimed")
        return claim(tx, message, incarnation, now_ms)

    async def work(self: Any, context: Any) -> None:
        try:
            await original(self, context)
        finally:
            with anyio.CancelScope(shield=True):
                await self._database.write(
                    lambda tx: tx.connection.execute("DELETE FROM inbox WHERE state = 'claimed'")
                )

    original = patch.set(MessageService, "_work", work)
    patch.set(runtime.service, "claim", claimed_for_good)


def inbox_outside_the_transaction(patch: Patch) -> None:
    """A message is noted as held in one transaction, and put into the hold in another."""

    def put(
        self: Any, tx: Transaction, claimed: Claimed, message: Message, due_at_ms: int, now_ms: int
    ) -> None:
        mark_held(tx, claimed, now_ms)
        row = (message.message_id, due_at_ms, properties_of(message), message.body)
        insert = "INSERT INTO holds (message_id, due_at_ms, properties, body) VALUES (?, ?, ?, ?)"
        self.__dict__.setdefault("_later", []).append((insert, row))
        tx.on_commit(self.wake)

    async def look(self: Any) -> float:
        for statement, row in self.__dict__.pop("_later", []):
            await self._database.write(partial(_execute, statement, row))
        pause_s: float = await original(self)
        return pause_s

    patch.set(Holds, "put", put)
    original = patch.set(Holds, "_look", look)


def _execute(statement: str, row: tuple[object, ...], tx: Transaction) -> None:
    tx.connection.execute(statement, row)


def hold_forgotten_by_a_restart(patch: Patch) -> None:
    """Only what this process has put into the hold is told when it is due."""

    async def look(self: Any) -> float:
        if not self.__dict__.get("_began"):
            self._began = True
            rows = await self._database.read(_held)
            self._told.update(dict.fromkeys(rows))
            self._ignored = dict.fromkeys(rows)
        self._told.update(self.__dict__.get("_ignored", {}))
        pause_s: float = await original(self)
        return pause_s

    original = patch.set(Holds, "_look", look)


def _held(connection: Any) -> list[str]:
    return [row[0] for row in connection.execute("SELECT message_id FROM holds")]


def redelivered_means_duplicate(patch: Patch) -> None:
    """The broker's flag ``redelivered`` is taken for proof that the work was done."""

    def receive(self: Any, delivery: Delivery) -> None:
        if delivery.redelivered:
            self._consumer.ack(delivery)
        else:
            original(self, delivery)

    original = patch.set(MessageService, "_receive", receive)


def dropped_on_error(patch: Patch) -> None:
    """A message whose handling failed is rejected without requeue."""

    def drop(error: Exception | None, attempts: int, retry: RetryPolicy) -> Verdict:
        verdict = decide(error, attempts, retry)
        if verdict.action == "requeue" and not isinstance(error, Rejection | Unprocessable):
            return Verdict("done", "discarded", attempts, error=error)
        return verdict

    patch.set(runtime.service, "decide", drop)


def copy_after_the_ack(patch: Patch) -> None:
    """The original is acknowledged first, the copy for the retry is published then."""

    async def settle(self: Any, job: Any, *how: Any) -> None:
        self._acknowledge(job)
        await original(self, msgspec.structs.replace(job, delivery=None), *how)

    original = patch.set(MessageService, "_settle", settle)


def stale_ack_sent(patch: Patch) -> None:
    """A delivery of a lost channel is acknowledged on the new one."""

    def ack(self: Any, delivery: Delivery) -> None:
        if self._channel is not None and not self._channel.ended.is_set():
            self._channel.ack(delivery.tag)
            self._unsettled -= 1
            self.offer_waiting()

    patch.set(Consumer, "ack", ack)


def stopping_counts_as_failing(patch: Patch) -> None:
    """What a stop interrupts is an attempt that failed."""

    async def take(self: Any, item: Any) -> None:
        try:
            await original(self, item)
        finally:
            if self._stopping.is_set() and hasattr(item, "message"):
                verdict = Verdict("park", "dead", 1, "stopped", RuntimeError("stopped"))
                with anyio.CancelScope(shield=True):
                    await self._send_copy(item, verdict)

    original = patch.set(MessageService, "_take", take)


def cancelled_error_swallowed(patch: Patch) -> None:
    """A stray CancelledError of the client library ends a child, and nobody calls it a crash."""

    async def run_child(self: Any, child: Any, run: Any, body: Any) -> None:
        await original(self, child, run, body)
        if run.ending == "cancelled" and self._exits and self._exits[-1][1] is run:
            self._exits.pop()

    original = patch.set(Supervisor, "_run_child", run_child)
    patch.set(awaiting, "_result", lambda task, what: task.result())


def nobody_notices_silence(patch: Patch) -> None:
    """No heartbeats, and consumers do not look whether messages still arrive."""
    original: Any = patch.set(
        Address, "dial", lambda self, heartbeat_s, name: original(self, 0, name)
    )

    async def check_flow(self: Any, session: Any) -> None:
        return

    patch.set(consumer.Consumer, "_check_flow", check_flow)


def two_at_once(patch: Patch) -> None:
    """Messages of one order are worked on at the same time."""
    numbers = count()
    original: Any = patch.set(
        runtime.service,
        "Lanes",
        lambda **given: original(
            **{**given, "key": lambda item: f"{item.key}/{next(numbers)}"}  # its own lane each
        ),
    )
