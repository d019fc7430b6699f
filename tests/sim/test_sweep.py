"""Sweeps: which seeds, in which order, when they end; and a small one of everything there is."""

import itertools
from itertools import islice
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from sim import corpus, outcome
from sim import sweep as sweeps
from sim.batch import Lost
from sim.judges.table import CLAIMS
from sim.outcome import Outcome, Task, Wishes, lost
from sim.plan import Plan
from sim.probes.table import PROBES
from sim.run import Result, Violation, run
from sim.sweep import Limits, Tally, generated, seed_of, sweep
from tests.sim.plans import plan

SEEDS = Path("tests/seeds")
FOUND = Violation("kept", "it is kept", "it is not")


def test_one_base_gives_the_same_seeds_and_another_one_others() -> None:
    seeds = [task.seed for task in generated(("everything", "slow-disk"), 6, 5)]
    assert seeds == [task.seed for task in generated(("everything", "slow-disk"), 6, 5)]
    assert len(set(seeds)) == 6
    assert seeds[::2] == [seed_of(5, "everything", number) for number in range(3)]
    assert not set(seeds) & {task.seed for task in generated(("everything", "slow-disk"), 6, 6)}


def _quick(task: Task) -> Outcome:
    found = [FOUND] if task.seed == 3 else []
    return Outcome(
        scenario=task.scenario,
        seed=task.seed,
        virtual_s=2.0,
        violations=found,
        probes={"reached": 1, "never": 0},
        fired={"kill": 2},
    )


def test_a_sweep_ends_at_the_first_failure_if_it_is_told_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sweeps, "perform", _quick)
    tasks = [Task("everything", seed) for seed in range(10)]
    seeds = [task.seed for task, _ in sweep(tasks, Limits(jobs=1, fail_fast=True))]
    assert seeds == [0, 1, 2, 3]
    assert len(list(sweep(tasks, Limits(jobs=1)))) == 10


def test_no_run_begins_when_the_time_is_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweeps, "perform", _quick)
    seconds = itertools.count()  # a look at the clock takes one
    clock = SimpleNamespace(monotonic=lambda: next(seconds))
    monkeypatch.setattr(sweeps, "time", clock)
    endless = (Task("everything", 10 + seed) for seed in range(10**9))
    done = list(sweep(endless, Limits(jobs=2, time_budget_s=10.5)))
    assert len(done) == 10


def test_sums_are_kept_of_everything_and_outcomes_of_failures_only() -> None:
    tally = Tally()
    for seed in range(5):
        tally.add(_quick(Task("everything", seed)))
    tally.add(msgspec.structs.replace(_quick(Task("everything", 9)), corpus="old"))
    assert (tally.done, tally.passed) == (6, 5)
    assert [one.seed for one in tally.failures] == [3]
    assert (tally.probes["reached"], tally.probes["never"]) == (6, 0)
    assert all(tally.probes[name] == 0 for name in PROBES)
    assert all(tally.cases[claim.name] == 0 for claim in CLAIMS)
    assert dict(tally.fired) == {"kill": 12}
    assert dict(tally.runs) == {"everything": 5, "corpus": 1}
    assert tally.virtual == {"everything": 10.0, "corpus": 2.0}


def test_a_run_without_a_result_is_a_failure_that_says_why() -> None:
    missing = lost(Task("everything", 7), Lost("hung", "no result within 120 s\nin spin"))
    assert not missing.passed
    assert missing.violations[0].name == "run-hung"
    assert "spin" in missing.violations[0].text


def test_wishes_leave_kinds_of_faults_out() -> None:
    drawn = Task("everything", 1).planned()
    kinds = {fault.kind for fault in drawn.faults}
    for kind in islice(kinds, 3):
        only = Task("everything", 1, Wishes(faults=(kind,))).planned()
        assert {fault.kind for fault in only.faults} == {kind}
    assert Task("everything", 1, Wishes(faults=())).planned().faults == ()
    assert Wishes() == outcome.AS_DRAWN


def test_every_plan_of_the_corpus_holds_now() -> None:
    entries = corpus.read_corpus(SEEDS)
    failed = [
        f"{outcome_.name}: {[one.text for one in outcome_.violations][:3]}"
        for _, outcome_ in sweep(corpus.tasks(entries))
        if not outcome_.passed
    ]
    assert failed == []


def test_what_says_most_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    def judged(planned: Plan, **given: Any) -> Result:
        result = run(planned, **given)
        stuck = Violation("comes-to-rest", "it does", "it does not", "liveness")
        return msgspec.structs.replace(result, violations=[stuck, FOUND])

    monkeypatch.setattr(outcome, "run", judged)
    told = outcome.perform(Task("everything", 1, plan=plan()))
    assert [found.name for found in told.violations] == ["kept", "comes-to-rest"]
    assert told.suspects == {"kept": [], "comes-to-rest": []}
