"""Turns: every contender does one round, then every one the next, on the same machine and broker.

A round is a process of its own. What disturbs the machine for a while disturbs all of them, and the
ratios are taken round by round.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from bench.case import Case, Contender, Round
from bench.load import Load
from bench.progress import Progress
from bench.rabbitmq import RabbitMQ
from bench.sample import Sample
from bench.worker import UNREADY
from runtime.errors import EnvironmentUnready

WORK = Path(".ordermill/bench-work")
ROUND_S_MAX = 600.0
STILL_S = 60.0


class RoundFailed(Exception):
    """A contender's process ended without a sample. The message holds what it said last."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How to run a case: how often, at which scale, and who takes part (all, if ``only`` is empty).

    ``operations`` replaces the number of a round, ``load`` what the contenders choose; ``work`` is
    a folder on the disk to measure.
    """

    repeats: int = 5
    scale: float = 1.0
    operations: int | None = None
    only: tuple[str, ...] = ()
    long: bool = False
    load: Load | None = None
    work: Path = WORK


def run_case(case: Case, plan: Plan, progress: Progress) -> dict[str, list[Sample]]:
    """Run all rounds of a case; return the samples by contender, in order.

    A rival whose round fails twice is out of the case, and said to be: it does not end the run.
    """
    chosen = [
        one
        for one in case.contenders
        if (one.name in plan.only or not plan.only) and (plan.long or not one.long)
    ]
    samples: dict[str, list[Sample]] = {contender.name: [] for contender in chosen}
    with _broker(case, progress) as broker, _kept(plan) as kept:
        for number in range(plan.repeats):
            for contender in [one for one in chosen if one.name in samples]:
                began = time.perf_counter()
                sample = _tried(case, contender, plan, (broker, kept), progress)
                took_s = time.perf_counter() - began
                if sample is None:
                    del samples[contender.name]
                else:
                    samples[contender.name].append(sample)
                    progress.round(case.name, number + 1, plan.repeats, contender.name, took_s)
    if not samples:
        raise RoundFailed(f"{case.name}: nobody is left to measure")
    return samples


def _tried(
    case: Case,
    contender: Contender,
    plan: Plan,
    shared: tuple[RabbitMQ | None, Path],
    progress: Progress,
) -> Sample | None:
    for attempt in (1, 2):
        try:
            return _run(case, contender, plan, shared, progress)
        except RoundFailed as failure:
            if contender.role == "ours":
                raise
            what = "tried again" if attempt == 1 else "left out of this run"
            progress.say(f"{failure}\n{case.name:<9} {contender.name} is {what}")
    return None


@contextmanager
def _broker(case: Case, progress: Progress) -> Iterator[RabbitMQ | None]:
    if not case.broker:
        yield None
        return
    broker = RabbitMQ()
    try:
        progress.say(f"{case.name:<9} starting a RabbitMQ of its own")
        broker.start()
        yield broker
    finally:
        broker.close()


@contextmanager
def _kept(plan: Plan) -> Iterator[Path]:
    plan.work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="kept-", dir=plan.work) as kept:
        yield Path(kept).resolve()


def _run(
    case: Case,
    contender: Contender,
    plan: Plan,
    shared: tuple[RabbitMQ | None, Path],
    progress: Progress,
) -> Sample:
    broker, kept = shared
    operations = case.operations_long or case.operations if plan.long else case.operations
    operations = plan.operations or max(1, int(operations * contender.share * plan.scale))
    folder = Path(tempfile.mkdtemp(prefix=f"{case.name}-", dir=plan.work)).resolve()
    try:
        return run_round(
            Round(
                case=case.name,
                contender=contender.name,
                operations=operations,
                folder=folder,
                kept=kept,
                load=plan.load,
                broker_url="" if broker is None else broker.fresh_url(),
                broker_pid=0 if broker is None else broker.pid,
            ),
            3600.0 if plan.long else ROUND_S_MAX,
            progress,
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def run_round(
    task: Round, seconds_max: float = ROUND_S_MAX, progress: Progress | None = None
) -> Sample:
    """Run one round in a process of its own; raises `RoundFailed`, `EnvironmentUnready`."""
    name = f"{task.case} {task.contender}"
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            (sys.executable, "-m", "bench.worker"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        ) as process:
            try:
                given = msgspec.json.encode(task, enc_hook=str)
                printed = _wait(process, given, seconds_max, progress, name)
            finally:
                _end(process)
        errors.seek(0)
        said = errors.read().decode(errors="replace").strip()
    if process.returncode == UNREADY:
        raise EnvironmentUnready(said.splitlines()[-1] if said else f"{name} cannot start")
    if process.returncode != 0:
        shown = said if len(said) < 6000 else f"{said[:3000]}\n...\n{said[-3000:]}"
        raise RoundFailed(f"{name} failed:\n{shown}")
    return msgspec.json.decode(printed.splitlines()[-1], type=Sample)


def _wait(
    process: subprocess.Popen[bytes],
    given: bytes,
    seconds_max: float,
    progress: Progress | None,
    name: str,
) -> bytes:
    """Return what the worker has printed when it has ended; say now and then that it has not."""
    began = time.monotonic()
    wanted: bytes | None = given
    while (left_s := began + seconds_max - time.monotonic()) > 0:
        try:
            return process.communicate(wanted, min(left_s, STILL_S))[0]
        except subprocess.TimeoutExpired:
            wanted = None  # it is given once only
            if progress is not None:
                progress.say(f"{name}: still at it after {time.monotonic() - began:.0f} s")
    raise RoundFailed(f"{name}: not done in {seconds_max:g} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the worker, if it has not ended, with what it has started: they share a session."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
