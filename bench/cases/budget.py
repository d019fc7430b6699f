"""``budget``: where the CPU time of one order goes, stage by stage, with 64 orders open.

``ordermill up`` on RabbitMQ as in ``e2e``, in a process that samples itself (`bench.profiled`),
which costs a few per cent. The stages are the table of `bench.stages`.
"""

import os
import signal
import sys
import time
from collections.abc import Callable

import anyio
import msgspec

from bench.budget import PREFIX
from bench.case import Case, Contender, Round
from bench.cases.e2e import drive_orders
from bench.load import closed
from bench.sample import Sample
from bench.systems import Place, ordermill

OPEN = 64
WRITTEN_S_MAX = 10.0


def measure(task: Round) -> Sample:
    """Send orders, and read the profile of just that time."""
    profile = task.folder / "profile.json"
    command = (sys.executable, "-m", "bench.profiled", str(profile))
    with ordermill(task.folder, task.broker_url, command) as place:

        def mark(begin: bool) -> None:
            os.kill(place.pids[0], signal.SIGUSR1 if begin else signal.SIGUSR2)

        sample = anyio.run(_drive, task, place, mark)
        limit = time.monotonic() + WRITTEN_S_MAX
        while not profile.exists() and time.monotonic() < limit:
            time.sleep(0.01)
        seconds = msgspec.json.decode(profile.read_bytes(), type=dict[str, float])
    stages = sorted(seconds.items(), key=lambda row: -row[1])
    figures = {f"{PREFIX}{stage}": 1e6 * used / task.operations for stage, used in stages}
    return msgspec.structs.replace(sample, figures=figures)


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
