"""The loop of every service: receive, claim, handle, settle.

Its law: exactly one function settles a message, by the table in `runtime.outcomes`; nothing is
acknowledged before what it led to is durable (the inbox row, and the broker's confirm of a copy);
stopping or being cancelled is never an attempt and never a failure.

    receive   a delivery, or a message that the hold tells, goes into the lane of its key
    claim     its inbox row is taken; a duplicate ends here, and so does one that must wait first
    handle    the route's handler runs, one at a time for each key
    settle    done: acknowledged. requeue: a copy goes to the delay queue of its tier first. park:
              a copy with the reason goes to the ``.dead`` queue first. leave: nothing at all

If the process dies between two steps the message is delivered (or told) again and the inbox
decides: a claim is resumed without its completed steps. If a copy was confirmed and the original
still comes back, both have one id and one lane, and the row says which of them counts.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
import msgspec

from runtime.amqp.consumer import Consumer, ConsumerStatistics, Delivery
from runtime.amqp.dead_letters import DeadLetters
from runtime.amqp.depths import Depths
from runtime.amqp.link import Link
from runtime.amqp.redrive import Redrive
from runtime.amqp.topology import dead_queue, retry_queue
from runtime.child import ChildContext, ChildSpec, SupervisorSpec
from runtime.database import Database
from runtime.duplicates import note_duplicate
from runtime.errands import Errands
from runtime.errors import Unavailable
from runtime.hold import Holds, HoldStatistics
from runtime.host import Host
from runtime.inbox import (
    Claim,
    Claimed,
    Duplicate,
    Retention,
    Superseded,
    claim,
    claim_held,
    settle,
)
from runtime.jobs import Job, Route, Routes, Told
from runtime.lanes import Lanes, LaneStatistics
from runtime.message import Message
from runtime.message_report import MessageReport
from runtime.outcomes import SETTLED, RetryPolicy, Verdict, decide, parked_copy, retried_copy
from runtime.publishing import Publisher
from runtime.telemetry import Telemetry
from runtime.transaction import Transaction, Work
from runtime.trials import Trials

PAUSE_S_MIN = 0.05
PAUSE_S_MAX = 5.0
DRAIN_S = 15.0

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a service stands on.

    ``database`` is its own, with the schemas of `runtime.inbox`, `duplicates`, `hold`, `audit`.
    ``link`` consumes, and declares the queue, its delay queues (one for each tier of ``retry``) and
    its ``.dead`` queue; ``publisher`` has a link of its own. Up to ``lanes`` keys are worked on at
    a time, out of ``prefetch`` deliveries. What was done is remembered for ``retention_s``.
    """

    link: Link
    publisher: Publisher
    database: Database
    host: Host
    telemetry: Telemetry
    retry: RetryPolicy
    retention_s: float = 604800.0
    lanes: int = 64
    prefetch: int = 128


class ServiceStatistics(msgspec.Struct, frozen=True):
    """Everything that waits in a service."""

    lanes: LaneStatistics
    consumer: ConsumerStatistics
    hold: HoldStatistics


class _Left(Exception):
    """The message cannot be settled here and now; it comes again."""


class MessageService:
    """One service: its queue, its lanes, its inbox and hold, and the way its messages end.

    ``routes`` maps a message type's name to its `Route`; ``key`` names a message's lane and may
    raise `Unprocessable`.
    """

    def __init__(
        self,
        queue: str,
        routes: Mapping[str, Route],
        *,
        key: Callable[[Message], str],
        around: Surroundings,
    ) -> None:
        self.queue = queue
        self.routes = Routes(queue, routes, key)
        self._publisher = around.publisher
        self._database = around.database
        self._host = around.host
        self._report = MessageReport(around.telemetry, queue, routes)
        self._retry = around.retry
        self._lane_count = around.lanes
        # Deliveries of a lost connection leave the lanes only when it is their turn.
        self._capacity = 4 * around.prefetch
        self._consumer = Consumer(around.link, queue, prefetch=around.prefetch, feed=self._receive)
        self._redrive = Redrive(around.link, around.publisher, queue, around.telemetry)
        looking = self._redrive.looking
        self.dead_letters = DeadLetters(around.link, around.publisher, queue, looking)
        self.depths = Depths(around.link, queue, around.retry.tiers_s, looking)
        self.holds = Holds(
            around.database,
            around.host.clock,
            self._receive_held,
            longest_s=max((route.hold_s for route in routes.values()), default=0.0),
        )
        self._retention = Retention(around.database, around.host.clock, around.retention_s)
        self.errands = Errands(queue, around.database, around.host.clock)
        self.trials = Trials(around.database, around.retry)
        self.lanes = self._new_lanes()
        self._incarnation = ""
        self._stopping = anyio.Event()

    def spec(self) -> SupervisorSpec:
        """Return the service as a subtree: lanes, hold, consumer, and the watch on ``.dead``.

        ``rest_for_one``: what feeds the lanes is rebuilt with them, in this order, because the new
        lanes are empty; a consumer or hold that fails leaves running handlers alone. On stop the
        feeds end first, and the lanes then finish what they have begun.
        """
        children = (
            ChildSpec(f"lanes-{self.queue}", self._work, shutdown_s=DRAIN_S),
            ChildSpec(f"hold-{self.queue}", self.holds.run),
            self._consumer.child(),
            self._redrive.child(),
            ChildSpec(f"retention-{self.queue}", self._retention.run),
            self.errands.child(),
        )
        return SupervisorSpec(f"messages-{self.queue}", children, strategy="rest_for_one")

    def tell(self, key: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` in the lane of ``key``; raises `MailboxFull` or `MailboxClosed`.

        It is not remembered: if it fails, that is logged, and whoever told it (a sweeper) tells it
        again.
        """
        self.lanes.put_nowait(Told(key, work))

    def statistics(self) -> ServiceStatistics:
        """Return this moment's figures."""
        return ServiceStatistics(
            self.lanes.statistics(), self._consumer.statistics(), self.holds.statistics()
        )

    def _receive(self, delivery: Delivery) -> None:
        self.lanes.put_nowait(self.routes.job(delivery.message, delivery))
        if delivery.problem is None:
            self._report.arrived(self._host.clock.wall() - delivery.message.timestamp)

    def _receive_held(self, message: Message) -> None:
        self.lanes.put_nowait(self.routes.job(message, None))

    def _new_lanes(self) -> Lanes[Job | Told]:
        return Lanes(
            lanes=self._lane_count,
            capacity=self._capacity,
            key=lambda item: item.key,
            key_max=self._capacity // 2,
        )

    async def _work(self, context: ChildContext) -> None:
        self.lanes = self._new_lanes()
        self._incarnation = self._host.ids.new("inc")
        self._stopping = context.stopping
        async with anyio.create_task_group() as group:
            group.start_soon(self._close_on, context.stopping, self.lanes)
            context.started()
            await self.lanes.run(self._report.traced(self._take))
            group.cancel_scope.cancel()
        await self._consumer.release()

    async def _close_on(self, stopping: anyio.Event, lanes: Lanes[Job | Told]) -> None:
        await stopping.wait()
        lanes.close()

    async def _take(self, item: Job | Told) -> None:
        if isinstance(item, Told):
            await self._carry_out(item)
        else:
            await self._end(item)
        # Nobody acknowledges what the hold or a sweeper told, yet it leaves room like the others.
        self._consumer.offer_waiting()

    async def _end(self, job: Job) -> None:
        try:
            await self._process(job)
        except (_Left, Superseded):
            if job.delivery is None and not self._stopping.is_set():
                self.holds.tell_again(job.message.message_id)

    async def _carry_out(self, told: Told) -> None:
        try:
            await told.work()
        except Exception as error:
            self._report.work_failed(error)

    async def _process(self, job: Job) -> None:
        if self._gone(job):
            return
        if job.route is None:
            await self._settle(job, None, job.problem, ())
            return
        taken = await self._claim(job, job.route)
        if taken is not None:
            claimed, begun = taken
            handle = Claim(self._database, claimed, self._host.clock.wall, begun)
            error = await self._handle(job.route, job.message, handle)
            await self._settle(job, handle.claimed, error, handle.last)

    async def _claim(self, job: Job, route: Route) -> tuple[Claimed, object] | None:
        """Take the inbox row; None where nothing is to be done now, which is acknowledged."""
        # For the incarnation of now: it may be carried out when another one has begun.
        take = partial(self._take_row, job, route, self._incarnation)
        taken = await self._insist(job, partial(self._write, take))
        if isinstance(taken, tuple):
            return taken
        self._acknowledge(job)
        if taken is not None:
            self._report.duplicate(job.message)
        return None

    def _take_row(
        self, job: Job, route: Route, incarnation: str, tx: Transaction, now_ms: int
    ) -> tuple[Claimed, object] | Duplicate | None:
        """Return the claim with what `Route.begin` has noted, or None for one that is held now."""
        message = job.message
        if job.delivery is None:
            taken = claim_held(tx, message.message_id, incarnation, now_ms)
        else:
            taken = claim(tx, message, incarnation, now_ms)
        if isinstance(taken, Duplicate):
            if job.delivery is not None:
                note_duplicate(tx, message.message_id, now_ms)
            return taken
        fresh = not taken.held and not taken.resumed and taken.attempt == 0
        if fresh and route.hold_s > 0:
            due_at_ms = now_ms + int(route.hold_s * 1000)
            self.holds.put(tx, taken, message, due_at_ms, now_ms)
            return None
        return taken, None if route.begin is None else route.begin(tx, message, now_ms)

    async def _handle(self, route: Route, message: Message, handle: Claim) -> Exception | None:
        began = self._host.clock.monotonic()
        try:
            await route.handle(message, handle)
        except Exception as error:
            return error
        finally:
            self._report.handled(self._host.clock.monotonic() - began)
        return None

    async def _settle(
        self,
        job: Job,
        claimed: Claimed | None,
        error: Exception | None,
        last: Sequence[Work[object]],
    ) -> None:
        """End the message as `decide` says; the only place that acknowledges work.

        Point of no return: the commit of the inbox row. Before it, dying means that the message
        comes again and is resumed; after it, that it comes again and is a duplicate.
        """
        before = job.message.attempt if claimed is None else claimed.attempt
        verdict = decide(error, before + 1, self._retry)
        if verdict.action == "leave" or (verdict.action != "done" and self._stopping.is_set()):
            raise _Left
        await self._send_copy(job, verdict)
        if claimed is not None:
            state = SETTLED[verdict.action]

            def end(tx: Transaction, now_ms: int) -> None:
                settle(tx, claimed, state, now_ms, attempt=verdict.attempts, last=last)

            await self._insist(job, partial(self._write, end))
        self._acknowledge(job)
        self._report.settled(job.message, verdict, self._retry.tier_s(verdict.attempts))

    async def _send_copy(self, job: Job, verdict: Verdict) -> None:
        if verdict.action == "requeue":
            queue = retry_queue(self.queue, self._retry.tier_s(verdict.attempts))
            copy = retried_copy(job.message, verdict, int(self._host.clock.wall()))
        elif verdict.action == "park":
            queue = dead_queue(self.queue)
            copy = parked_copy(job.message, verdict, self.queue, int(self._host.clock.wall()))
        else:
            return
        with self._report.settling(verdict):
            await self._insist(job, partial(self._publisher.publish, "", queue, copy))

    async def _insist(self, job: Job, attempt: Callable[[], Awaitable[T]]) -> T:
        """Do what a message needs before it can be acknowledged, and again while it cannot be done.

        The lane waits meanwhile: going on, or giving the message back, would only spin.
        """
        pause_s = PAUSE_S_MIN
        while True:
            try:
                return await attempt()
            except Unavailable as error:
                if pause_s == PAUSE_S_MIN:
                    self._report.stuck(job.message, error)
            with anyio.move_on_after(self._host.random.uniform(pause_s / 2, pause_s)):
                await self._stopping.wait()
            if self._stopping.is_set() or self._gone(job):
                raise _Left
            pause_s = min(2 * pause_s, PAUSE_S_MAX)

    async def _write(self, row: Callable[[Transaction, int], T]) -> T:
        now_ms = int(self._host.clock.wall() * 1000)
        return await self._database.write(lambda tx: row(tx, now_ms))

    def _gone(self, job: Job) -> bool:
        return job.delivery is not None and self._consumer.stale(job.delivery)

    def _acknowledge(self, job: Job) -> None:
        if job.delivery is not None:
            self._consumer.ack(job.delivery)
