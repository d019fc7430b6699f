"""``publish``: messages from the outbox to RabbitMQ, each confirmed, mandatory and persistent.

Ours begins with the outbox row (64 in a work, as a group commit writes them) and ends with its
removal; the rivals have their message in memory, and nothing where it would survive them.
"""

from functools import partial

import anyio

from actors.order_events.schema import MIGRATIONS
from bench.case import Case, Contender, Round
from bench.messages import EXCHANGE, ROUTING_KEY, link, order_created
from bench.meter import Meter
from bench.rivals import aiormq, faststream
from bench.sample import Sample
from bench.supervised import Ground
from runtime import outbox
from runtime.amqp.publisher import LinkPublisher
from runtime.child import ChildSpec
from runtime.database import Database, open_database
from runtime.outbox import Relay
from runtime.transaction import Transaction

ROWS = 64
AHEAD_MAX = 1024


def ours(task: Round) -> Sample:
    """Write outbox rows, and have the relay publish them."""
    return anyio.run(_ours, task)


async def _ours(task: Round) -> Sample:
    ground, meter = Ground(task.folder), Meter(broker_pid=task.broker_pid)
    sending = link(ground, task.broker_url, "publish")
    publisher = LinkPublisher(sending, ground.telemetry)
    async with open_database(ground.host.disk, "orders.db", MIGRATIONS) as database:
        relay = Relay(database, publisher, ground.host, ground.telemetry)

        async def work() -> None:
            await sending.session()
            with meter.running():
                await _publish(database, relay, task.operations)

        await ground.supervise((sending.child(), ChildSpec("relay", relay.run)), work)
    return meter.sample(task.operations)


async def _publish(database: Database, relay: Relay, count: int) -> None:
    def published() -> int:
        return relay.statistics().published_total

    for start in range(0, count, ROWS):
        while start - published() > AHEAD_MAX:
            await anyio.sleep(0.002)
        numbers = range(start, min(start + ROWS, count))
        await database.write(partial(enqueue, relay, numbers))
    while published() < count:
        await anyio.sleep(0.002)


def enqueue(relay: Relay, numbers: range, tx: Transaction) -> None:
    """Write the rows of these messages."""
    for number in numbers:
        message = order_created(number)
        outbox.enqueue(tx, message.correlation_id, EXCHANGE, ROUTING_KEY, message)
    tx.on_commit(relay.wake)


CASE = Case(
    name="publish",
    title="outbox relay to RabbitMQ, confirmed and mandatory, to a quorum queue",
    operation="message",
    operations=10_000,
    broker=True,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="outbox row, relay, batch publish, removal of the row; each group committed",
            guarantees="at least once from the commit on, in order a key; survives any crash",
            run=ours,
        ),
        Contender(
            name="aiormq",
            role="limit",
            how="aiormq 7.2 basic_publish, mandatory, 100 in flight",
            guarantees="confirmed while the process lives; no outbox",
            run=aiormq.publish,
            share=0.7,
        ),
        Contender(
            name="faststream",
            role="rival",
            how="FastStream 0.7 broker.publish, mandatory, persistent, 100 in flight, uvloop",
            guarantees="confirmed while the process lives; no outbox",
            run=faststream.publish,
            share=0.5,
        ),
    ),
)
