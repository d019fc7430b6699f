"""``consume``: messages from a full quorum queue, each handled (by nothing) and acknowledged.

Ours claims an inbox row before the handler and marks it done after it, so that a second copy is
recognised; the rivals acknowledge, and would handle it again.
"""

import sqlite3

import anyio

from actors.settings import Settings
from bench.case import Case, Contender, Round
from bench.messages import QUEUE, TIERS_S, filled, link
from bench.meter import Meter
from bench.rivals import aiormq, faststream
from bench.sample import Sample
from bench.supervised import Ground
from runtime import audit, duplicates, hold, inbox
from runtime.amqp.publisher import LinkPublisher
from runtime.database import Database, open_database
from runtime.inbox import Claim
from runtime.jobs import Route
from runtime.message import Message
from runtime.outcomes import RetryPolicy
from runtime.service import MessageService, Surroundings

MIGRATIONS = (inbox.SCHEMA, hold.SCHEMA, audit.SCHEMA, duplicates.SCHEMA)


def ours(task: Round) -> Sample:
    """Let a message service empty the queue."""
    filled(task.folder, task.broker_url, task.operations)
    return anyio.run(serve_until, task, task.operations).sample(task.operations)


async def serve_until(task: Round, done: int) -> Meter:
    """Run a message service until it is done with so many messages; return what it took."""
    ground, meter = Ground(task.folder), Meter(broker_pid=task.broker_pid)
    copies, consuming = (link(ground, task.broker_url, role) for role in ("copy", "consume"))
    handled = 0

    async def handle(_message: Message, _claim: Claim) -> None:
        nonlocal handled
        handled += 1

    async with open_database(ground.host.disk, "payment.db", MIGRATIONS) as database:
        around = Surroundings(
            link=consuming,
            publisher=LinkPublisher(copies, ground.telemetry),
            database=database,
            host=ground.host,
            telemetry=ground.telemetry,
            retry=RetryPolicy(TIERS_S, Settings().retry.attempts_max),
            lanes=Settings().runtime.lanes,
            prefetch=Settings().broker.prefetch,
        )
        service = MessageService(
            QUEUE,
            {"order-created": Route(handle)},
            key=lambda message: message.correlation_id,
            around=around,
        )

        async def work() -> None:
            while handled < done or await _done(database) < done:
                await anyio.sleep(0.02)

        with meter.running():
            await ground.supervise((copies.child(), consuming.child(), service.spec()), work)
    return meter


async def _done(database: Database) -> int:
    def count(connection: sqlite3.Connection) -> int:
        query = "SELECT count(*) FROM inbox WHERE state = 'done'"
        return int(connection.execute(query).fetchone()[0])

    return await database.read(count)


CASE = Case(
    name="consume",
    title="consume, claim, handle, done, acknowledge, from a quorum queue",
    operation="message",
    operations=10_000,
    broker=True,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="MessageService: inbox claim, handler, done, ack; prefetch 128, 64 lanes",
            guarantees="handled once (deduplicated durably), in order an order, never lost",
            run=ours,
        ),
        Contender(
            name="aiormq",
            role="limit",
            how="aiormq 7.2 basic_consume, basic_ack each, prefetch 100",
            guarantees="at least once; no dedup, no order",
            run=aiormq.consume,
        ),
        Contender(
            name="faststream",
            role="rival",
            how="FastStream 0.7 subscriber, prefetch 100, uvloop",
            guarantees="at least once; no dedup, no order",
            run=faststream.consume,
            share=0.5,
        ),
    ),
)
