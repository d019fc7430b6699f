"""Same seed, same trace: some of a sweep's runs again, where whatever must not matter differs.

Forked workers share their addresses and hide bugs that lie in them. So the repetitions are made in
fresh processes (`sim.perturbed`) with another hash seed, time zone, log level and heap, and in
another order. Where two hashes differ, both sides are run once more with their traces kept, and the
first event that differs is what a person needs to see.
"""

import random
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import msgspec

from sim.batch import Lost, Pool
from sim.observer import Log
from sim.outcome import Outcome, Task, execute
from sim.perturbed import Repeated, Request
from sim.run import Running
from sim.trace import Event
from sim.trace_files import Divergence, first_difference, read_trace, write_trace

CHUNK = 40
RUN_S_MAX = 120.0
_ZONES = ("Pacific/Chatham", "America/St_Johns", "Asia/Kathmandu", "Antarctica/Troll", "UTC")


class Perturbation(msgspec.Struct, frozen=True):
    """What is different in one fresh process."""

    hash_seed: int
    zone: str
    junk: int
    log: bool

    def __str__(self) -> str:
        log = "debug" if self.log else "off"
        return f"PYTHONHASHSEED={self.hash_seed} TZ={self.zone} junk={self.junk} log={log}"


class Parted(msgspec.Struct, frozen=True):
    """A run that was not the same again. ``where`` is None if the runs with traces were the same
    (it does not always happen), ``failed`` what the process said if it gave no answer.
    """

    outcome: Outcome
    perturbation: Perturbation
    digest: str
    where: Divergence | None = None
    failed: str = ""


class Gate:
    """Compares. ``environment`` is the process's own."""

    def __init__(self, environment: Mapping[str, str], rng: random.Random) -> None:
        self._environment = environment
        self._random = rng

    def compare(self, pairs: Sequence[tuple[Task, Outcome]]) -> Iterator[Parted | None]:
        """Yield None for each run that was the same again."""
        order = list(pairs)
        self._random.shuffle(order)
        for at in range(0, len(order), CHUNK):
            yield from self._chunk(order[at : at + CHUNK])

    def _chunk(self, pairs: Sequence[tuple[Task, Outcome]]) -> Iterator[Parted | None]:
        perturbation = self._perturbation()
        answers, failed = self._ask(perturbation, [task for task, _ in pairs])
        for number, (task, outcome) in enumerate(pairs):
            answer = answers.get(number)
            if answer is None:
                yield Parted(outcome, perturbation, "", failed=failed)
            elif answer.digest == outcome.digest:
                yield None
            else:
                where = self._where(perturbation, task)
                yield Parted(outcome, perturbation, answer.digest, where)

    def _perturbation(self) -> Perturbation:
        rng = self._random
        return Perturbation(
            rng.randrange(1, 2**32),
            rng.choice(_ZONES),
            rng.randrange(10_000, 60_000),
            rng.random() < 0.7,
        )

    def _ask(
        self, perturbation: Perturbation, tasks: Sequence[Task], traces: str = ""
    ) -> tuple[dict[int, Repeated], str]:
        request = Request(
            msgspec.Raw(msgspec.json.encode(tasks)), perturbation.junk, perturbation.log, traces
        )
        environment = {
            **self._environment,
            "PYTHONHASHSEED": str(perturbation.hash_seed),
            "TZ": perturbation.zone,
        }
        try:
            ran = subprocess.run(
                [sys.executable, "-P", "-m", "sim.perturbed"],
                input=msgspec.json.encode(request),
                env=environment,
                capture_output=True,
                check=False,
                timeout=RUN_S_MAX * len(tasks),
            )
        except subprocess.TimeoutExpired:
            return {}, f"no answer within {RUN_S_MAX * len(tasks):g} s"
        answers = [msgspec.json.decode(line, type=Repeated) for line in ran.stdout.splitlines()]
        said = ran.stderr.decode(errors="replace")[-2000:]
        return {answer.number: answer for answer in answers}, f"exit code {ran.returncode}\n{said}"

    def _where(self, perturbation: Perturbation, task: Task) -> Divergence | None:
        """Run both sides again, with their traces, and compare those."""
        with tempfile.TemporaryDirectory(prefix="ordermill-traces-") as folder:
            here = Path(folder, "here.jsonl")
            answers, _ = self._ask(perturbation, [task], folder)
            with Pool(_kept, (_Kept, _Kept), jobs=1) as pool:
                results = list(pool.map([_Kept(task, str(here))]))
            if isinstance(results[0][1], Lost) or 0 not in answers:
                return None
            return first_difference(read_trace(here), read_trace(Path(answers[0].trace)))


class _Kept(msgspec.Struct, frozen=True):
    task: Task
    file: str


def _kept(wanted: _Kept) -> _Kept:
    write_trace(Path(wanted.file), traced(wanted.task)[1])
    return wanted


def traced(
    task: Task, *, log: bool = False, keep_trace: bool = True
) -> tuple[Repeated, list[Event]]:
    """Run a task; return how it ended, and its trace if it is kept."""
    events: list[Event] = []

    def attach(running: Running) -> None:
        nonlocal events
        events = running.engine.trace.events
        running.world.log = Log(lambda _node, _line: None) if log else None

    result = execute(task, keep_trace=keep_trace, attach=attach)
    return Repeated(0, result.digest, [found.name for found in result.violations]), events


def repeat(request: Request) -> Iterator[Repeated]:
    """Do a request: what the fresh process does."""
    for number, task in enumerate(msgspec.json.decode(request.tasks, type=list[Task])):
        repeated, events = traced(task, log=request.log, keep_trace=bool(request.traces))
        file = ""
        if request.traces:
            file = str(Path(request.traces, f"{number}.jsonl"))
            write_trace(Path(file), events)
        yield msgspec.structs.replace(repeated, number=number, trace=file)
