"""``recover``: from the start of the process until it says that it is ready.

``ordermill up`` with the embedded broker, on an empty data folder, and on one whose store has a
million events.
"""

import shutil
import time
from functools import partial

from bench.case import Case, Contender, Round
from bench.grown import FILE, grow, to_disk
from bench.meter import Meter
from bench.processes import ORDERMILL, running
from bench.sample import Sample
from bench.systems import SETTINGS
from sim.patience import cpu_s

EVENTS_AN_ORDER = 6


def start(task: Round, events: int) -> Sample:
    """Start it once on a store of so many events."""
    if events:
        made = grow(task.kept, events // EVENTS_AN_ORDER)
        shutil.copy(made / FILE, task.folder / FILE)
        to_disk(task.folder / FILE)
    command = (
        *(*ORDERMILL, *SETTINGS, "up", "--broker", "embedded"),
        *("--data-dir", str(task.folder), "--port", "0"),
    )
    began = time.perf_counter()
    with running("ordermill", command, task.folder) as process:
        process.wait_for("ready in")
        ready_s = time.perf_counter() - began
        used_s = cpu_s(process.pid)
        memory = Meter([process.pid]).sample(1).memory_mib
    return Sample(
        operations=1,
        wall_s=ready_s,
        cpu_s=used_s,
        memory_mib=memory,
        figures={"ready_s": ready_s, "ready_cpu_s": used_s},
    )


def _contender(name: str, events: int, how: str) -> Contender:
    return Contender(
        name=name,
        role="limit" if events == 0 else "ours",
        how=f"ordermill up, {how}",
        guarantees="serves what was committed, goes on with what was begun",
        run=partial(start, events=events),
    )


CASE = Case(
    name="recover",
    title="from the start of the process until it is ready",
    operation="start",
    operations=1,
    contenders=(
        _contender("empty", 0, "nothing in its store"),
        _contender("events-1m", 1_000_000, "1,000,000 events in its store"),
    ),
)
