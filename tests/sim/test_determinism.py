"""The determinism gate: what is the same again, and that it sees what is not."""

import gc
import os
import random

import msgspec
import pytest

import sim.customers
from sim.determinism import Gate, traced
from sim.outcome import Outcome, Task, perform
from sim.run import Running, run
from sim.trace import Event
from sim.trace_files import first_difference
from tests.sim.plans import kill, plan


def _gate() -> Gate:
    return Gate(dict(os.environ), random.Random(3))


def _pairs(tasks: list[Task]) -> list[tuple[Task, Outcome]]:
    return [(task, perform(task)) for task in tasks]


def test_fresh_processes_with_another_heap_hash_seed_zone_and_log_level_repeat_every_run() -> None:
    tasks = [
        Task("everything", seed, plan=plan(seed, faults=(kill(1, 1.0 + seed / 10),)))
        for seed in range(1, 4)
    ]
    assert list(_gate().compare(_pairs(tasks))) == [None] * 3


def test_the_first_event_that_differs_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sim.customers, "LOOK_S_MIN", 0.2)  # here, and in what is forked from here
    [parted] = _gate().compare(_pairs([Task("everything", 1, plan=plan())]))
    assert parted is not None
    assert parted.where is not None
    assert parted.where.one != parted.where.other
    assert parted.where.shared is not None
    assert parted.where.step == parted.where.shared.step + 1
    text = "\n".join(parted.where.lines("here", "again"))
    assert f"first difference at step {parted.where.step}" in text
    assert parted.digest != parted.outcome.digest


def test_a_difference_that_does_not_come_again_is_still_one() -> None:
    task = Task("everything", 1, plan=plan())
    wrong = msgspec.structs.replace(perform(task), digest="0" * 32)
    [parted] = _gate().compare([(task, wrong)])
    assert parted is not None
    assert parted.where is None
    assert parted.failed == ""


def test_a_process_that_gives_no_answer_says_why() -> None:
    task = Task("no-such-scenario", 1, plan=plan())
    broken = msgspec.structs.replace(
        task, wishes=msgspec.structs.replace(task.wishes, mutation="?")
    )
    [parted] = _gate().compare([(broken, perform(task))])
    assert parted is not None
    assert "KeyError" in parted.failed


def test_another_seed_is_another_trace() -> None:
    assert perform(Task("everything", 1, plan=plan(1))).digest != (
        perform(Task("everything", 2, plan=plan(2))).digest
    )


def test_steps_that_no_event_shows_are_a_difference_too() -> None:
    same = [Event(1, 0.5, "net", (1,), 7), Event(2, 0.6, "net", (2,), 8)]
    other = [same[0], msgspec.structs.replace(same[1], mix=9)]
    found = first_difference(same, other)
    assert found is not None
    assert found.hidden
    assert "other steps" in found.lines("a", "b")[-1]
    assert first_difference(same, list(same)) is None


def test_a_trace_that_ends_early_differs_where_it_ends() -> None:
    events = [Event(1, 0.5, "net", (1,)), Event(2, 0.6, "net", (2,))]
    found = first_difference(events, events[:1])
    assert found is not None
    assert (found.step, found.other) == (2, None)


def test_keeping_the_trace_does_not_change_it() -> None:
    task = Task("everything", 1, plan=plan())
    repeated, events = traced(task)
    assert repeated.digest == perform(task).digest
    assert events


def test_nothing_is_collected_during_a_run() -> None:
    seen: list[bool] = []

    def attach(_running: Running) -> None:
        seen.append(gc.isenabled())

    before = gc.isenabled()
    run(plan(), attach=attach)
    assert seen == [False]
    assert gc.isenabled() == before
