"""Forked workers: results, endings that are no result, and what the parent still knows then."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterable
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


def _answers(
    work: Callable[[Task], Answer], tasks: int, **given: float
) -> dict[int, Answer | Lost]:
    """Return what became of the tasks, by number, in the order in which it was told."""
    with Pool(work, (Task, Answer), **given) as pool:  # type: ignore[arg-type]
        return {task.number: answer for task, answer in pool.map(map(Task, range(tasks)))}


def _made(answers: Iterable[Answer | Lost]) -> list[Answer]:
    return [answer for answer in answers if isinstance(answer, Answer)]


def _answered(task: Task) -> Answer:
    return Answer(task.number, os.getpid())


def test_every_task_is_answered_by_a_process_that_is_not_ours() -> None:
    answers = _answers(_answered, 20, jobs=2, batch_max=4)
    made = _made(answers.values())
    assert sorted(answers) == list(range(20))
    assert {number: answer.number for number, answer in zip(answers, made, strict=True)} == {
        number: number for number in range(20)
    }
    assert os.getpid() not in {answer.pid for answer in made}


def test_a_worker_leaves_after_its_batch() -> None:
    pids = [answer.pid for answer in _made(_answers(_answered, 12, jobs=1, batch_max=4).values())]
    assert [pids.count(pid) for pid in dict.fromkeys(pids)] == [4, 4, 4]


def test_workers_stay_for_the_next_tasks() -> None:
    with Pool(_answered, (Task, Answer), jobs=1) as pool:
        pids = [_made([answer])[0].pid for _ in range(3) for _, answer in pool.map([Task(0)])]
    assert len(set(pids)) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


def test_results_come_in_the_order_of_the_tasks_if_wanted() -> None:
    def work(task: Task) -> Answer:
        time.sleep(0.2 if task.number == 0 else 0.0)
        return _answered(task)

    with Pool(work, (Task, Answer), jobs=2) as pool:
        assert [task.number for task, _ in pool.in_order(map(Task, range(6)))] == list(range(6))


def test_an_answer_may_be_larger_than_a_pipe_holds() -> None:
    made = _made(_answers(lambda task: Answer(task.number, 0, "x" * 3_000_000), 4, jobs=2).values())
    assert [len(answer.text) for answer in made] == [3_000_000] * 4


def test_what_a_task_raises_comes_back_and_the_worker_goes_on() -> None:
    def work(task: Task) -> Answer:
        if task.number == 1:
            raise ValueError("not this one")
        return _answered(task)

    answers = _answers(work, 3, jobs=1)
    lost = answers[1]
    assert isinstance(lost, Lost)
    assert lost.why == "raised"
    assert "ValueError: not this one" in lost.text
    assert len({answer.pid for answer in _made(answers.values())}) == 1


def test_the_task_of_a_worker_that_dies_is_known_and_the_others_are_done() -> None:
    def work(task: Task) -> Answer:
        if task.number == 2:
            os.write(2, b"last words\n")
            os.kill(os.getpid(), signal.SIGKILL)
        return _answered(task)

    answers = _answers(work, 5, jobs=2)
    lost = answers[2]
    assert isinstance(lost, Lost)
    assert lost.why == "died"
    assert "SIGKILL" in lost.text
    assert "last words" in lost.text
    assert len(_made(answers.values())) == 4


def test_a_worker_that_uses_cpu_time_for_ever_is_ended_and_says_where_it_was() -> None:
    def spin_for_ever(task: Task) -> Answer:
        while task.number == 1:
            pass
        return _answered(task)

    lost = _answers(spin_for_ever, 4, jobs=2, hang_s=1.0)[1]
    assert isinstance(lost, Lost)
    assert lost.why == "hung"
    assert "spin_for_ever" in lost.text


def test_a_worker_that_waits_for_ever_is_ended_and_says_where_it_was() -> None:
    def wait_for_ever(task: Task) -> Answer:
        if task.number == 1:
            threading.Event().wait()
        return _answered(task)

    answers = _answers(wait_for_ever, 4, jobs=2, hang_s=1.0)
    lost = answers[1]
    assert isinstance(lost, Lost)
    assert lost.why == "hung"
    assert "wait_for_ever" in lost.text
    assert len(_made(answers.values())) == 3


def test_closing_the_iterator_ends_the_workers_that_are_at_work() -> None:
    def work(task: Task) -> Answer:
        if task.number:
            time.sleep(60)
        return _answered(task)

    with Pool(work, (Task, Answer), jobs=1) as pool:
        results = pool.map(map(Task, range(4)))
        [answer] = _made([next(results)[1]])
        results.close()
        [again] = _made([result for _, result in pool.map([Task(0)])])
    for pid in (answer.pid, again.pid):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_worker_that_is_killed_leaves_no_files() -> None:
    def work(task: Task) -> Answer:
        folder = scratch.run_folder()
        (folder / "some.db").write_bytes(b"x")
        if task.number:
            os.kill(os.getpid(), signal.SIGKILL)
        return Answer(task.number, 0, str(folder))

    [answer] = _made(_answers(work, 2, jobs=1).values())
    assert Path(answer.text).name.startswith("ordermill-sim-")
    assert not Path(answer.text).parent.exists()


def test_what_a_dead_process_has_left_is_cleared_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scratch._Place, "folder", tmp_path)
    dead, ours = tmp_path / "ordermill-sim-999999999-x", scratch.run_folder()
    dead.mkdir()
    scratch.clear_up()
    assert not dead.exists()
    assert ours.exists()
