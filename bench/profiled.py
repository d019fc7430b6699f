"""``ordermill`` with its CPU time counted by stage: ``python -m bench.profiled FILE COMMAND...``.

A timer of the process's CPU time interrupts it every 2 ms of that time; each thread's own time
since the last interruption counts for where that thread is (`bench.stages`). SIGUSR1 begins the
count, SIGUSR2 writes it to FILE as JSON: seconds by stage.
"""

import gc
import signal
import sys
import threading
import time
from collections import defaultdict
from pathlib import Path
from types import FrameType

import msgspec

from actors.cli import main as ordermill
from bench.stages import THREADS, stage_of

EVERY_S = 0.002


class Profile:
    """CPU seconds by stage, of all threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seconds: defaultdict[str, float] = defaultdict(float)
        self._used: dict[int, float] = {}

    def install(self) -> None:
        """Wait for the signals."""
        signal.signal(signal.SIGUSR1, self._begin)
        signal.signal(signal.SIGUSR2, self._write)
        signal.signal(signal.SIGPROF, self._sample)

    def _begin(self, _number: int, frame: FrameType | None) -> None:
        self._sample(_number, frame)
        self._seconds.clear()
        signal.setitimer(signal.ITIMER_PROF, EVERY_S, EVERY_S)

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

    def _write(self, _number: int, frame: FrameType | None) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._sample(_number, frame)
        draft = self._path.with_suffix(".draft")
        draft.write_bytes(msgspec.json.encode(dict(self._seconds)))
        draft.replace(self._path)


def main() -> None:
    """Run the command that is given, profiled."""
    path, *arguments = sys.argv[1:]
    Profile(Path(path)).install()
    ordermill(arguments)


if __name__ == "__main__":
    main()
