"""Where the CPU time of a simulated run goes: ``python -m bench.simulated --shape together``.

A timer of the process's CPU time interrupts the runs; a sample counts for the innermost Python
function. What C code does has no frame and counts for who called it: SQLite for the two methods
that hand statements to it, asyncio's tasks and futures for the loop that steps them.
"""

import argparse
import gc
import signal
import sysconfig
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

import msgspec

from bench.cases.sim import seeds
from sim import guard
from sim.outcome import Task, perform

EVERY_S = 0.002
TOP = 25
SQLITE = "SQLite"
LIBRARIES = "libraries"
STANDARD = "standard library"
PRODUCT = "product (runtime/, actors/)"
SIMULATOR = "simulator (sim/)"
_ROOT = Path(__file__).parents[1]
_STANDARD = sysconfig.get_path("stdlib")
_STATEMENTS = ("SimConnection.execute", "SimConnection.executemany")


class Profile(msgspec.Struct):
    """Samples by group, by file and (of sim/ alone) by function; CPU seconds of all runs."""

    runs: int
    cpu_s: float
    groups: Counter[str]
    files: Counter[str]
    functions: Counter[str]

    def lines(self) -> Iterator[str]:
        """Yield the tables, as Markdown."""
        total = self.groups.total()
        yield f"{self.runs} runs, {self.cpu_s / self.runs:.2f} s of CPU time each, {total} samples"
        for title, counts, most in (
            ("group", self.groups, None),
            ("file, or library", self.files, TOP),
            ("function of sim/", self.functions, TOP),
        ):
            yield f"\n| {title} | share |\n| --- | --- |"
            for name, count in counts.most_common(most):
                yield f"| {name} | {100 * count / total:.1f} % |"


def group_of(file: str, function: str) -> tuple[str, str]:
    """Return the group that a function counts for, and its file or library.

    >>> group_of(str(_ROOT / "sim/loop.py"), "VirtualLoop.time")
    ('simulator (sim/)', 'sim/loop.py')
    """
    if "site-packages" in file:
        return LIBRARIES, file.split("site-packages/")[1].split("/")[0]
    if not file.startswith(str(_ROOT)):
        return STANDARD, f"python: {file.removeprefix(_STANDARD).lstrip('/')}"
    name = file.removeprefix(f"{_ROOT}/")
    if name == "sim/sqlite.py" and function in _STATEMENTS:
        return SQLITE, SQLITE
    return SIMULATOR if name.startswith("sim/") else PRODUCT, name


def profile(tasks: Sequence[Task]) -> Profile:
    """Run the tasks in this process, sampled. The first one only warms up, if there are more."""
    guard.install()
    found = Profile(0, 0.0, Counter(), Counter(), Counter())

    def sample(_number: int, frame: FrameType | None) -> None:
        if frame is not None:
            code = frame.f_code
            group, file = group_of(code.co_filename, code.co_qualname)
            found.groups[group] += 1
            found.files[file] += 1
            if group == SIMULATOR:
                found.functions[f"{file} {code.co_qualname}"] += 1

    first, *others = tasks
    collecting = gc.isenabled()
    gc.disable()
    if others:
        perform(first)
    before = signal.signal(signal.SIGPROF, sample)
    began = time.process_time()
    signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)
    try:
        for task in others or tasks:
            perform(task)
            found.runs += 1
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
        if collecting:
            gc.enable()
    found.cpu_s = time.process_time() - began
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
