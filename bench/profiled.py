"""``ordermill`` with its CPU time counted by stage: ``python -m bench.profiled FILE COMMAND...``.

A timer of the process's CPU time interrupts it every 2 ms of that time; each thread's own time
since the last interruption counts for where that thread is (`bench.stages`). SIGUSR1 begins the
count, SIGUSR2 writes it to FILE as JSON: seconds by stage. ``-m MODULE`` runs another module.
"""

import gc
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from runpy import run_module
from types import FrameType

import msgspec

from actors.cli import main as ordermill
from bench.stages import THREADS, stage_of

EVERY_S = 0.002


class Profile:
    """CPU seconds by stage, of all threads, between `begin` and `end`."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._used: dict[int, float] = {}
        signal.signal(signal.SIGPROF, self._sample)

    def begin(self) -> None:
        """Count from now on."""
        self._sample(signal.SIGPROF, sys._getframe())  # noqa: SLF001 - what a handler is given
        self._seconds.clear()
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

    def end(self) -> dict[str, float]:
        """Return what was counted."""
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._sample(signal.SIGPROF, sys._getframe())  # noqa: SLF001
        return dict(self._seconds)

    def _sample(self, _number: int, frame: FrameType | None) -> None:
        here = threading.get_ident()
        # It allocates while it holds the interpreter's list of threads. A collection that began
        # there could run Python code, this handler too, which would wait for the list for ever.
        gc.disable()
        frames = sys._current_frames()  # noqa: SLF001 - documented
        gc.enable()
        for thread, stack in frames.items():
            try:
                now = time.clock_gettime(time.pthread_getcpuclockid(thread))
            except (OSError, ProcessLookupError):
                continue
            used = now - self._used.get(thread, now)
            self._used[thread] = now
            if used > 0:
                stage = stage_of(frame) if thread == here else stage_of(stack, THREADS)
                self._seconds[stage] += used


def write_on_signals(path: Path) -> None:
    """Count from SIGUSR1 to SIGUSR2, and write it then."""
    profile = Profile()

    def write(_number: int, _frame: FrameType | None) -> None:
        draft = path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(profile.end()))
        draft.replace(path)

    signal.signal(signal.SIGUSR1, lambda *_given: profile.begin())
    signal.signal(signal.SIGUSR2, write)


def main() -> None:
    """Run the command that is given, profiled."""
    path, *arguments = sys.argv[1:]
    write_on_signals(Path(path))
    if arguments[0] == "-m":
        sys.argv = arguments[1:]
        run_module(arguments[1], run_name="__main__")
    else:
        ordermill(arguments)


if __name__ == "__main__":
    main()
