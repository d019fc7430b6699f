"""Where the CPU time of a simulated run goes: ``python -m bench.simulated --shape together``.

A timer of the process's CPU time interrupts the runs; the time since it last did counts for the
innermost Python function. Python handles an interruption at a function's first instruction at the
latest: one that has done no more than begin is not counted, but who called it. What C code does has
no frame and counts for who called it, too; but the simulator's calls of asyncio's tasks and futures
and of SQLite are known by their lines, and count as what is called. The collector has a group of
its own: it is off during a run, and then takes at once what all the others have left.
"""

import argparse
import gc
import signal
import sysconfig
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dis import opmap
from functools import cache
from inspect import getsourcelines
from pathlib import Path
from statistics import fmean, median
from types import CodeType, FrameType

from bench.cases.sim import seeds
from sim import guard
from sim.handles import SimTask
from sim.loop import VirtualLoop
from sim.outcome import Task, perform
from sim.sqlite import SimConnection

EVERY_S = 0.002
TOP = 25
SQLITE = "SQLite"
ASYNCIO = "asyncio's tasks and futures (C)"
COLLECTOR = "garbage collector"
LIBRARIES = "libraries"
STANDARD = "standard library"
PRODUCT = "product (runtime/, actors/)"
SIMULATOR = "simulator (sim/)"
_ROOT = Path(__file__).parents[1]
_STANDARD = sysconfig.get_path("stdlib")
_BEGIN = opmap["RESUME"]
_CALLS: tuple[tuple[CodeType, str, str], ...] = (
    (VirtualLoop._run.__code__, ".context.run(", ASYNCIO),  # noqa: SLF001
    (SimTask.__init__.__code__, "_start(", ASYNCIO),
    (SimConnection.execute.__code__, "_execute(", SQLITE),
    (SimConnection.executemany.__code__, ".executemany(", SQLITE),
)
"""Where the simulator calls C code of others: the function, how the line looks, and whose it is."""


class Profile:
    """CPU seconds by group, by file and (of sim/ alone) by function; ``samples`` of how many runs.

    ``runs_s``: the CPU seconds of each run.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.runs_s: list[float] = []
        self.groups: defaultdict[str, float] = defaultdict(float)
        self.files: defaultdict[str, float] = defaultdict(float)
        self.functions: defaultdict[str, float] = defaultdict(float)

    def add(self, code: CodeType, line: int, seconds: float) -> None:
        """Count so much time for a function, at this line."""
        group, file = group_of(code, line)
        self.samples += 1
        self.groups[group] += seconds
        self.files[file] += seconds
        if group == SIMULATOR:
            self.functions[f"{file} {code.co_qualname}"] += seconds

    def lines(self) -> Iterator[str]:
        """Yield the tables, as Markdown."""
        total = sum(self.groups.values())
        yield (
            f"{len(self.runs_s)} runs, CPU time of one: mean {fmean(self.runs_s):.2f} s, "
            f"median {median(self.runs_s):.2f} s; {self.samples} samples"
        )
        for title, seconds, most in (
            ("group", self.groups, None),
            ("file, or library", self.files, TOP),
            ("function of sim/", self.functions, TOP),
        ):
            yield f"\n| {title} | share |\n| --- | --- |"
            for name, share in _largest(seconds)[:most]:
                yield f"| {name} | {100 * share / total:.1f} % |"


def _largest(seconds: Mapping[str, float]) -> list[tuple[str, float]]:
    return sorted(seconds.items(), key=lambda item: -item[1])


@cache
def called_at(code: CodeType) -> Mapping[int, str]:
    """Return by line whose C code a function calls, as far as `_CALLS` knows."""
    known = [(text, group) for one, text, group in _CALLS if one is code]
    lines, first = getsourcelines(code) if known else ([], 0)
    return {
        first + at: group for at, line in enumerate(lines) for text, group in known if text in line
    }


def group_of(code: CodeType, line: int) -> tuple[str, str]:
    """Return the group that a line of a function counts for, and its file or library.

    >>> group_of(VirtualLoop.time.__code__, 0)
    ('simulator (sim/)', 'sim/loop.py')
    """
    file = code.co_filename
    if "site-packages" in file:
        return LIBRARIES, file.split("site-packages/")[1].split("/")[0]
    if not file.startswith(str(_ROOT)):
        return STANDARD, f"python: {file.removeprefix(_STANDARD).lstrip('/')}"
    name = file.removeprefix(f"{_ROOT}/")
    if code is guard.at_rest.__code__:
        return COLLECTOR, COLLECTOR
    called = called_at(code).get(line)
    if called is not None:
        return called, called
    return SIMULATOR if name.startswith("sim/") else PRODUCT, name


def _counted(frame: FrameType) -> FrameType:
    """Return the innermost function that has done anything.

    Of all that the collector calls, it is who called the collector.
    """
    caller: FrameType | None = frame
    while caller is not None:
        if caller.f_code is guard.at_rest.__code__:
            return caller
        caller = caller.f_back
    begun = frame.f_code.co_code[frame.f_lasti] != _BEGIN
    return frame if begun or frame.f_back is None else frame.f_back


def profile(tasks: Sequence[Task]) -> Profile:
    """Run the tasks in this process, sampled. The first one only warms up, if there are more."""
    guard.install()
    found = Profile()
    counted_s = 0.0

    def sample(_number: int, frame: FrameType | None) -> None:
        nonlocal counted_s
        before_s, counted_s = counted_s, time.process_time()
        if frame is not None:
            counted = _counted(frame)
            found.add(counted.f_code, counted.f_lineno, counted_s - before_s)

    first, *others = tasks
    collecting = gc.isenabled()
    gc.disable()
    if others:
        perform(first)
    before = signal.signal(signal.SIGPROF, sample)
    counted_s = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    try:
        for task in others or tasks:
            found.runs_s.append(perform(task).cpu_s)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        if collecting:
            gc.enable()
    return found


def main() -> None:
    """Run the first seeds of `everything` of one shape, and print where their time goes."""
    parser = argparse.ArgumentParser(prog="bench.simulated", description=main.__doc__)
    parser.add_argument("--shape", choices=("together", "apart"), default="together")
    parser.add_argument("--runs", type=int, default=12)
    wanted = parser.parse_args()
    print(*profile(list(seeds(wanted.shape, max(1, wanted.runs) + 1))).lines(), sep="\n")


if __name__ == "__main__":
    main()
