"""Many seeds of some scenarios, on all cores, and what all of them together show.

Past failures (the corpus) run first. Then seeds, which follow from a base: the commit's hash, so
that a commit always meets the same seeds and the next one others; or one that is drawn and printed.
"""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing

import msgspec

from sim import guard
from sim.batch import HANG_S, Lost, Pool
from sim.determinism import Parted
from sim.judges.table import CLAIMS
from sim.outcome import AS_DRAWN, Outcome, Task, Wishes, lost, perform
from sim.probes.table import PROBES

SEED_BYTES = 4


def seed_of(base: int, scenario: str, number: int) -> int:
    """Return the ``number``-th seed of a scenario under this base."""
    text = f"{base:x}/{scenario}/{number}".encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=SEED_BYTES).digest(), "big")


def generated(
    scenarios: Sequence[str], seeds: int, base: int, wishes: Wishes = AS_DRAWN
) -> Iterator[Task]:
    """Yield ``seeds`` tasks, the scenarios taking turns."""
    for number in range(seeds):
        scenario = scenarios[number % len(scenarios)]
        seed = seed_of(base, scenario, number // len(scenarios))
        yield Task(scenario, seed, wishes)


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One run as the grid shows it; ``violation`` is the first one's name, or empty."""

    scenario: str
    seed: int
    violation: str
    virtual_s: float
    cpu_s: float
    corpus: str


class Tally:
    """The sums over a sweep. It grows by a row a run, and by one outcome a failure.

    ``cases`` and ``probes`` hold every name there is, those without a hit as 0. ``after_heal`` is
    the longest of all runs.
    """

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.failures: list[Outcome] = []
        self.same_again = 0
        self.parted: list[Parted] = []
        self.passed = 0
        self.virtual_s = self.cpu_s = 0.0
        self.cases = Counter({claim.name: 0 for claim in CLAIMS})
        self.probes = Counter(dict.fromkeys(PROBES, 0))
        self.fired: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()
        self.effects: Counter[str] = Counter()
        self.shapes: Counter[str] = Counter()
        self.runs: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.virtual: dict[str, float] = {}
        self.after_heal: dict[str, float] = {}

    @property
    def done(self) -> int:
        """How many runs have ended."""
        return len(self.rows)

    def add(self, outcome: Outcome) -> None:
        """Count one run."""
        self.passed += outcome.passed
        first = outcome.violations[0].name if outcome.violations else ""
        if not outcome.passed:
            self.failures.append(outcome)
        group = "corpus" if outcome.corpus else outcome.scenario
        self.rows.append(
            Row(group, outcome.seed, first, outcome.virtual_s, outcome.cpu_s, outcome.corpus)
        )
        self.runs[group] += 1
        self.failed[group] += not outcome.passed
        self.faults[group] += sum(outcome.fired.values())
        self.virtual[group] = self.virtual.get(group, 0.0) + outcome.virtual_s
        self.virtual_s += outcome.virtual_s
        self.cpu_s += outcome.cpu_s
        self.shapes[outcome.shape] += 1
        for name, seconds in outcome.after_heal.items():
            self.after_heal[name] = max(seconds, self.after_heal.get(name, 0.0))
        for total, part in (
            (self.cases, outcome.cases),
            (self.probes, outcome.probes),
            (self.fired, outcome.fired),
            (self.missed, outcome.missed),
            (self.effects, outcome.effects),
        ):
            total.update(part)


class Limits(msgspec.Struct, frozen=True):
    """When a sweep ends early, and how many cores it takes (0: all)."""

    jobs: int = 0
    time_budget_s: float = 0.0
    fail_fast: bool = False
    hang_s: float = HANG_S


UNLIMITED = Limits()


def sweep(
    tasks: Iterable[Task],
    limits: Limits = UNLIMITED,
    *,
    tick: Callable[[], None] | None = None,
    tick_s: float = 0.5,
) -> Generator[tuple[Task, Outcome], None, None]:
    """Run the tasks and yield each with its outcome, as they come."""
    guard.install()
    began = time.monotonic()

    def within_budget() -> Iterator[Task]:
        for task in tasks:
            if limits.time_budget_s and time.monotonic() - began > limits.time_budget_s:
                return
            yield task

    made = Pool(perform, (Task, Outcome), jobs=limits.jobs, hang_s=limits.hang_s)
    with made as pool, closing(pool.map(within_budget(), tick=tick, tick_s=tick_s)) as results:
        for task, result in results:
            outcome = lost(task, result) if isinstance(result, Lost) else result
            yield task, outcome
            if limits.fail_fast and not outcome.passed:
                return
