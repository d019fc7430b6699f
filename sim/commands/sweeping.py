"""A sweep from the command line: run, repeat a sample, look into what failed, sum up."""

import random
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from itertools import chain
from pathlib import Path

import msgspec

from sim import corpus, scratch
from sim.console import Live
from sim.determinism import Gate
from sim.investigation import Case, investigate
from sim.outcome import Outcome, Task, Wishes
from sim.provenance import Provenance
from sim.report.sweep_file import sweep_file, write_sweep
from sim.sweep import Limits, Tally, generated, sweep

CASES_MAX = 5


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for. ``base`` is where seeds come from, ``base_name`` its name.

    ``seed``: this one instead of generated ones. ``sample``: the share of runs to be repeated.
    """

    scenarios: tuple[str, ...]
    seeds: int
    seed: int | None
    base: int
    base_name: str
    wishes: Wishes
    limits: Limits
    sample: float
    require_reached: bool
    shrink_s: float
    reports: Path
    corpus: Path

    def tasks(self) -> tuple[int, Iterator[Task]]:
        """Return how many runs there are, and the runs: past failures first."""
        if self.seed is not None:
            named = [Task(scenario, self.seed, self.wishes) for scenario in self.scenarios]
            return len(named), iter(named)
        past = [] if self.wishes.mutation else list(corpus.tasks(corpus.read_corpus(self.corpus)))
        drawn = generated(self.scenarios, self.seeds, self.base, self.wishes)
        return len(past) + self.seeds, chain(past, drawn)


class Sweeping:
    """One sweep. After `go`, ``tally`` and ``cases`` are what is known."""

    def __init__(
        self, wanted: Wanted, provenance: Provenance, environment: Mapping[str, str], live: Live
    ) -> None:
        self.wanted = wanted
        self.provenance = provenance
        self.tally = Tally()
        self.cases: list[Case] = []
        self.interrupted = False
        self.live = live
        self._environment = environment
        self._sample: list[tuple[Task, Outcome]] = []
        self._tasks: dict[int, Task] = {}
        self.planned, self._left = wanted.tasks()

    def go(self) -> None:
        """Do all of it. A first Ctrl-C ends the runs, and what is known is still summed up."""
        scratch.clear_up()
        try:
            self._run()
            self._repeat()
            self._investigate()
        except KeyboardInterrupt:
            self.interrupted = True
        finally:
            self.live.show(self.tally)
            self.live.close()
        sums = sweep_file(
            self.tally, self.provenance, self.wanted.base_name, self.planned, self.live.seconds
        )
        write_sweep(self.wanted.reports, sums)

    def _run(self) -> None:
        for task, outcome in sweep(self._left, self.wanted.limits, tick=self._tick):
            self.tally.add(outcome)
            if not outcome.passed:
                self._tasks[id(outcome)] = task
                found = ", ".join(dict.fromkeys(one.name for one in outcome.violations))
                self.live.say(f"FAIL {outcome.name}  {found}")
            if outcome.digest and self._drawn(outcome):
                self._sample.append((task, outcome))

    def _tick(self) -> None:
        self.live.show(self.tally)

    def _drawn(self, outcome: Outcome) -> bool:
        """Whether a run belongs to the sample: its name decides, and the first one does always."""
        share = int.from_bytes(blake2b(outcome.name.encode(), digest_size=4).digest(), "big")
        lucky = share < self.wanted.sample * 2**32
        return self.wanted.sample > 0 and (lucky or not self._sample)

    def _repeat(self) -> None:
        gate = Gate(self._environment, random.Random(self.wanted.base))
        for parted in gate.compare(self._sample):
            if parted is None:
                self.tally.same_again += 1
            else:
                self.tally.parted.append(parted)
                self.live.say(f"NOT DETERMINISTIC {parted.outcome.name}  {parted.perturbation}")
            self.live.show(self.tally)

    def _investigate(self) -> None:
        """Look into the first failure of each sort."""
        seen: set[str] = set()
        for outcome in self.tally.failures:
            violation = outcome.violations[0]
            name = violation.name
            if name in seen or len(self.cases) >= CASES_MAX:
                continue
            seen.add(name)
            shrink_s = 0.0 if violation.kind == "engine" else self.wanted.shrink_s
            self.live.say(f"looking into {outcome.name}  {name}")
            self.cases.append(
                investigate(
                    self._tasks[id(outcome)],
                    outcome,
                    name,
                    self.wanted.reports,
                    self.provenance,
                    shrink_s=shrink_s,
                    jobs=self.wanted.limits.jobs,
                    tell=lambda line: self.live.say(f"  {line}"),
                )
            )

    def never_reached(self) -> list[str]:
        """Return the probes that no run has hit."""
        return sorted(name for name, count in self.tally.probes.items() if not count)

    def never_evaluated(self) -> list[str]:
        """Return the properties that no run has had a case for."""
        return sorted(name for name, count in self.tally.cases.items() if not count)

    def exit_code(self) -> int:
        """Return how the command ends."""
        if self.interrupted:
            return 130
        if self.tally.parted:
            return 4
        unreached = self.wanted.require_reached and (self.never_reached() or self.never_evaluated())
        return 1 if self.tally.failures or unreached else 0
