"""``sim``: runs of the simulator a second of CPU time: 20 orders, everything that may go wrong.

The whole system in one process, and in a process a service; each run judged. No rival simulates a
system of this kind: what is compared with is the target, and the last results.
"""

from collections.abc import Iterator
from functools import partial

from bench.case import Case, Contender, Round
from bench.meter import Meter
from bench.sample import Sample
from sim import guard
from sim.batch import Lost, Pool
from sim.outcome import Outcome, Task, perform

SCENARIO = "everything"


def measure(task: Round, shape: str) -> Sample:
    """Do the first so many seeds of this shape, in one worker, after one to warm up."""
    guard.install()
    meter = Meter()
    outcomes: list[Outcome] = []
    with meter.running(), Pool(perform, (Task, Outcome), jobs=1) as pool:
        for run, result in pool.in_order(seeds(shape, task.operations + 1)):
            assert not isinstance(result, Lost), f"{run}: {result}"
            outcomes.append(result)
    measured = outcomes[1:]
    used_s = sum(outcome.cpu_s for outcome in measured)
    return Sample(
        operations=len(measured),
        wall_s=meter.sample(1).wall_s,
        cpu_s=used_s,
        memory_mib=meter.sample(1).memory_mib,
        errors=sum(not outcome.passed for outcome in measured),
        figures={
            "seeds_per_cpu_s": len(measured) / used_s,
            "steps": sum(outcome.steps for outcome in measured) / len(measured),
            "virtual_s": sum(outcome.virtual_s for outcome in measured) / len(measured),
        },
    )


def seeds(shape: str, count: int) -> Iterator[Task]:
    """Yield the first so many runs whose worlds have this shape."""
    seed = 0
    while count:
        seed += 1
        task = Task(SCENARIO, seed)
        if task.planned().world.shape == shape:
            count -= 1
            yield task


def _contender(name: str, shape: str, how: str) -> Contender:
    return Contender(
        name=name,
        role="ours",
        how=how,
        guarantees="every run is judged; the same seed gives the same run",
        run=partial(measure, shape=shape),
    )


CASE = Case(
    name="sim",
    title="simulated runs, 20 orders each",
    operation="run",
    operations=4,
    contenders=(
        _contender("together", "together", "all services in one process"),
        _contender("apart", "apart", "a process a service, and a broker"),
    ),
)
