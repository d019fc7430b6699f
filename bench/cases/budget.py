"""``budget``: where the CPU time of one order goes, stage by stage, with 64 orders open.

``ordermill up`` on RabbitMQ as in ``e2e``, in a process that samples itself (`bench.profiled`),
which costs a few per cent. The stages are the table of `bench.stages`.
"""

from collections.abc import Callable

import anyio

from bench.case import Case, Contender, Round
from bench.cases.e2e import drive_orders
from bench.load import closed
from bench.sample import Sample
from bench.sampling import Outside, with_stages
from bench.systems import Place, ordermill

OPEN = 64


def measure(task: Round) -> Sample:
    """Send orders, and read the profile of just that time."""
    watch = Outside(task.folder)
    with ordermill(task.folder, task.broker_url, watch.python) as place:

        def mark(begin: bool) -> None:
            (watch.begin if begin else watch.end)(place.pids)

        sample = anyio.run(_drive, task, place, mark)
        return with_stages(sample, watch.seconds, task.operations)


async def _drive(task: Round, place: Place, mark: Callable[[bool], None]) -> Sample:
    return await drive_orders(task, place, task.load or closed(OPEN), mark)


CASE = Case(
    name="budget",
    title="the CPU time of one order by stage",
    operation="order",
    operations=600,
    broker=True,
    contenders=(
        Contender(
            name="ordermill",
            role="ours",
            how="ordermill up, sampled, 64 orders open",
            guarantees="as in e2e",
            run=measure,
        ),
    ),
)
