"""From a failing plan to a small one that fails in the same way.

First a guess: the order that the violation names, alone. Then faults, because a run with few faults
can be read; then orders; then what customers do, and times. Then all of it again, until nothing
more can go or the time is up. The same way means that a
violation of the same name is found.

Each part of a plan moves the others in time (they share a scheduler), so a race that a candidate
still holds may not show under the plan's own seed. A small candidate with fewer faults or orders is
therefore tried under a few seeds, and takes the one that shows it along.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import msgspec

from sim.batch import Lost, Pool
from sim.ddmin import minimise
from sim.outcome import GENERIC, Outcome, Task, lost, perform
from sim.plan import Plan
from sim.simpler import STEPS, size_of

Tell = Callable[[str], None]
BUDGET_S = 60.0
HANG_S = 60.0
SEEDS_MAX = 12
SUSPECTS_MAX = 3
_WEIGHT_MAX = 48
_replace = msgspec.structs.replace


class Shrunk(msgspec.Struct, frozen=True):
    """The smallest plan that was found to fail, how, and what it took. ``done``: not cut short."""

    plan: Plan
    outcome: Outcome
    runs: int
    seconds: float
    done: bool


class NotFailing(Exception):
    """The plan does not show the violation that is to be kept."""


class _OutOfTime(Exception):
    pass


class Shrinker:
    """Shrinks the plan of ``task``. ``violation`` is the name to keep; ``tell`` is given lines."""

    def __init__(
        self,
        task: Task,
        violation: str,
        *,
        budget_s: float = BUDGET_S,
        jobs: int = 0,
        tell: Tell = lambda _: None,
    ) -> None:
        self._task = task
        self._violation = violation
        self._tell = tell
        self._began = time.monotonic()
        self._limit = self._began + budget_s
        self._pool = Pool(perform, (Task, Outcome), jobs=jobs, hang_s=HANG_S)
        self._runs = 0
        self._plan = task.planned()
        self._outcome: Outcome | None = None
        self._words = ""

    @property
    def plan(self) -> Plan:
        """The smallest plan that has failed until now."""
        return self._plan

    def run(self) -> Shrunk:
        """Shrink; `NotFailing` if there is nothing to shrink."""
        with self._pool:
            if self._take([self._plan]) is None:
                raise NotFailing(f"this plan shows no violation of {self._violation}")
            done = self._go_on()
        assert self._outcome is not None, "the plan was seen to fail"
        return Shrunk(self._plan, self._outcome, self._runs, time.monotonic() - self._began, done)

    def _go_on(self) -> bool:
        """Make passes until one changes nothing; False if the time is up before."""
        before = None
        try:
            while before != self._plan:
                before = self._plan
                self._pass()
        except _OutOfTime:
            return False
        return True

    def _guess(self) -> None:
        """Try what often is all that it takes: the order that the violation names, alone."""
        assert self._outcome is not None, "the plan was seen to fail"
        suspects = self._outcome.suspects.get(self._violation, [])[:SUSPECTS_MAX]
        alone = tuple(one for one in self._plan.orders if one.number in suspects[:1])
        some = tuple(one for one in self._plan.orders if one.number in suspects)
        guesses: list[Plan] = []
        for orders in (alone, some):
            for faults in ((), self._plan.faults):
                guess = _replace(self._plan, orders=orders, faults=faults)
                if orders and guess != self._plan and guess not in guesses:
                    guesses.append(guess)
        if guesses and self._take(guesses) is not None:
            self._told("guess")

    def _pass(self) -> None:
        self._guess()
        self._minimise("faults", lambda kept: _replace(self._plan, faults=kept), self._plan.faults)
        self._minimise("orders", lambda kept: _replace(self._plan, orders=kept), self._plan.orders)
        for what, variants in STEPS:
            while (candidates := variants(self._plan)) and self._take(candidates, 1) is not None:
                self._told(what)

    def _minimise(
        self, what: str, plan_with: Callable[[Any], Plan], items: Sequence[object]
    ) -> None:
        rounds = minimise(items)
        try:
            candidates = next(rounds)
            while True:
                taken = self._take([plan_with(parts) for parts in candidates])
                self._told(what)
                candidates = rounds.send(None if taken is None else candidates[taken])
        except StopIteration:
            return

    def _take(self, candidates: Sequence[Plan], seeds_max: int = SEEDS_MAX) -> int | None:
        """Make the first candidate that fails the plan; return its number, or None."""
        tries = list(_tries(candidates, seeds_max))
        tasks = [self._task_of(plan) for _, plan in tries]
        # In the order of the tries, so that what is found does not hang on which worker is faster.
        with closing(self._pool.in_order(self._in_time(tasks))) as results:
            for (number, plan), (task, result) in zip(tries, results, strict=True):
                self._runs += 1
                outcome = lost(task, result) if isinstance(result, Lost) else result
                if self._same_way(outcome):
                    self._plan, self._outcome = plan, outcome
                    return number
        return None

    def _same_way(self, outcome: Outcome) -> bool:
        """Whether the violation is there; one that many things may cause must say the same, too."""
        found = [one.text for one in outcome.violations if one.name == self._violation]
        if not found or self._violation not in GENERIC:
            return bool(found)
        self._words = self._words or _words(found[0])
        return self._words in map(_words, found)

    def _task_of(self, plan: Plan) -> Task:
        return _replace(self._task, seed=plan.seed, plan=plan)

    def _in_time(self, tasks: Sequence[Task]) -> Iterator[Task]:
        for task in tasks:
            if self._outcome is not None and time.monotonic() > self._limit:
                raise _OutOfTime
            yield task

    def _told(self, what: str) -> None:
        faults, orders, acts = size_of(self._plan)
        seconds = time.monotonic() - self._began
        self._tell(
            f"{what:<7} {faults} faults, {orders} orders, {acts} acts   "
            f"{self._runs} runs, {seconds:.0f}s"
        )


def _tries(candidates: Sequence[Plan], seeds_max: int) -> Iterator[tuple[int, Plan]]:
    """Yield each candidate under its own seed, then those that are small under others."""
    for attempt in range(seeds_max):
        for number, plan in enumerate(candidates):
            if attempt == 0:
                yield number, plan
            elif plan.orders and attempt * _weight(plan) < _WEIGHT_MAX:
                yield number, _replace(plan, seed=_other_seed(plan.seed, attempt))


def _words(text: str) -> str:
    """Return the first thing that a text says, without ids and numbers."""
    return re.sub(r"\w*\d\w*", "", text.partition(";")[0].partition("\n")[0])


def _weight(plan: Plan) -> int:
    faults, orders, _ = size_of(plan)
    return 1 + faults + 2 * orders


def _other_seed(seed: int, attempt: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{attempt}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big")
