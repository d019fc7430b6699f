"""``backlog``: memory of a service while much waits for it, on the broker or in its outbox.

The backlog is there before; a share of it is then worked on, and the peak of memory meanwhile is
what counts. ``-small`` has a twentieth of the backlog: memory should not know the difference.
"""

from functools import partial

import anyio

from actors.order_events.schema import MIGRATIONS
from bench.case import Case, Contender, Round
from bench.cases.consume import serve_until
from bench.cases.publish import enqueue
from bench.messages import filled, link
from bench.meter import Meter
from bench.sample import Sample
from bench.supervised import Ground
from runtime.amqp.publisher import LinkPublisher
from runtime.child import ChildSpec
from runtime.database import open_database
from runtime.outbox import Relay

WORKED_ON_MAX = 4_000
ROWS = 500


def queue(task: Round) -> Sample:
    """Start a message service on a queue with so many messages."""
    filled(task.folder, task.broker_url, task.operations)
    worked_on = min(task.operations, WORKED_ON_MAX)
    meter = anyio.run(serve_until, task, worked_on)
    return meter.sample(worked_on, backlog=float(task.operations))


def outbox(task: Round) -> Sample:
    """Start a relay on an outbox with so many rows."""
    return anyio.run(_outbox, task)


async def _outbox(task: Round) -> Sample:
    ground, meter = Ground(task.folder), Meter(broker_pid=task.broker_pid)
    sending = link(ground, task.broker_url, "publish")
    worked_on = min(task.operations, WORKED_ON_MAX)
    async with open_database(ground.host.disk, "orders.db", MIGRATIONS) as database:
        relay = Relay(
            database, LinkPublisher(sending, ground.telemetry), ground.host, ground.telemetry
        )
        for start in range(0, task.operations, ROWS):
            numbers = range(start, min(start + ROWS, task.operations))
            await database.write(partial(enqueue, relay, numbers))

        async def work() -> None:
            while relay.statistics().published_total < worked_on:
                await anyio.sleep(0.005)

        with meter.running():
            await ground.supervise((sending.child(), ChildSpec("relay", relay.run)), work)
    return meter.sample(worked_on, backlog=float(task.operations))


def _contender(name: str, how: str, run: partial[Sample], share: float) -> Contender:
    return Contender(
        name=name,
        role="ours",
        how=how,
        guarantees="everything of the backlog is kept",
        run=run,
        share=share,
    )


CASE = Case(
    name="backlog",
    title="a backlog, of which some thousands are worked on",
    operation="message",
    operations=20_000,
    operations_long=1_000_000,
    broker=True,
    contenders=(
        _contender("queue", "a service, its queue full on RabbitMQ", partial(queue), 1.0),
        _contender("queue-small", "the same with a twentieth of it", partial(queue), 0.05),
        _contender("outbox", "the relay, its outbox full", partial(outbox), 1.0),
        _contender("outbox-small", "the same with a twentieth of it", partial(outbox), 0.05),
    ),
)
