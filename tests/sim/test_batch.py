"""Forked workers: results, endings that are no result, and what the parent still knows then."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from sim import scratch
from sim.batch import Lost, Pool


class Task(msgspec.Struct, frozen=True):
    number: int


class Answer(msgspec.Struct, frozen=True):
    number: int
    pid: int
    text: str = ""


def _pool(work: Callable[[Task], Answer], **given: float) -> Pool[Task, Answer]:
    return Pool(work, (Task, Answer), **given)  # type: ignore[arg-type]


def _answered(task: Task) -> Answer:
    return Answer(task.number, os.getpid())


def test_every_task_is_answered_by_a_process_that_is_not_ours() -> None:
    pool = _pool(_answered, jobs=2, batch_max=4)
    answers = dict(pool.map(Task(number) for number in range(20)))
    assert sorted(task.number for task in answers) == list(range(20))
    made = [answer for answer in answers.values() if isinstance(answer, Answer)]
    assert all(task.number == answer.number for task, answer in answers.items() if answer in made)
    assert os.getpid() not in {answer.pid for answer in made}
    assert len(made) == 20


def test_a_worker_leaves_after_its_batch() -> None:
    pool = _pool(_answered, jobs=1, batch_max=4)
    pids = [
        answer.pid for _, answer in pool.map(map(Task, range(12))) if isinstance(answer, Answer)
    ]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [4, 4, 4]


def test_an_answer_may_be_larger_than_a_pipe_holds() -> None:
    pool = _pool(lambda task: Answer(task.number, 0, "x" * 3_000_000), jobs=2)
    texts = [
        answer.text for _, answer in pool.map(map(Task, range(4))) if isinstance(answer, Answer)
    ]
    assert [len(text) for text in texts] == [3_000_000] * 4


def test_what_a_task_raises_comes_back_and_the_worker_goes_on() -> None:
    def work(task: Task) -> Answer:
        if task.number == 1:
            raise ValueError("not this one")
        return _answered(task)

    answers = {task.number: answer for task, answer in _pool(work, jobs=1).map(map(Task, range(3)))}
    lost = answers[1]
    assert isinstance(lost, Lost)
    assert lost.why == "raised"
    assert "ValueError: not this one" in lost.text
    others = answers[0], answers[2]
    assert all(isinstance(answer, Answer) for answer in others)


def test_the_task_of_a_worker_that_dies_is_known_and_the_others_are_done() -> None:
    def work(task: Task) -> Answer:
        if task.number == 2:
            os.write(2, b"last words\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return _answered(task)

    answers = {task.number: answer for task, answer in _pool(work, jobs=2).map(map(Task, range(5)))}
    lost = answers.pop(2)
    assert isinstance(lost, Lost)
    assert lost.why == "died"
    assert "SIGKILL" in lost.text
    assert "last words" in lost.text
    assert len(answers) == 4
    assert all(isinstance(answer, Answer) for answer in answers.values())


def test_a_worker_that_hangs_is_ended_and_says_where_it_was() -> None:
    def spin_for_ever(task: Task) -> Answer:
        while task.number == 1:
            time.sleep(0.01)
        return _answered(task)

    pool = _pool(spin_for_ever, jobs=2, wall_s_max=1.0)
    answers = {task.number: answer for task, answer in pool.map(map(Task, range(4)))}
    lost = answers.pop(1)
    assert isinstance(lost, Lost)
    assert lost.why == "hung"
    assert "spin_for_ever" in lost.text
    assert all(isinstance(answer, Answer) for answer in answers.values())


def test_closing_the_iterator_ends_the_workers() -> None:
    pids: list[int] = []

    def work(task: Task) -> Answer:
        if task.number:
            time.sleep(60)
        return _answered(task)

    results = _pool(work, jobs=2).map(map(Task, range(4)))
    _, answer = next(results)
    assert isinstance(answer, Answer)
    pids.append(answer.pid)
    results.close()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_is_killed_leaves_no_files() -> None:
    made: list[str] = []

    def work(task: Task) -> Answer:
        folder = scratch.run_folder()
        (folder / "some.db").write_bytes(b"x")
        if task.number:
            os.kill(os.getpid(), signal.SIGKILL)
        return Answer(task.number, 0, str(folder))

    for _, answer in _pool(work, jobs=1).map(map(Task, range(2))):
        if isinstance(answer, Answer):
            assert Path(answer.text).exists()
            made.append(answer.text)
    assert len(made) == 1
    assert not Path(made[0]).parent.exists()


def test_what_a_dead_process_has_left_is_cleared_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch._Place, "folder", tmp_path)
    dead, ours = tmp_path / "ordermill-sim-999999999-x", scratch.run_folder()
    dead.mkdir()
    scratch.clear_up()
    assert not dead.exists()
    assert ours.exists()
