"""The profile of what is measured: of this process, or of another one (see `bench.profiled`)."""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from bench.budget import PREFIX
from bench.case import Round
from bench.meter import Meter
from bench.profiled import Profile
from bench.sample import Sample

WRITTEN_S_MAX = 10.0


class Inside:
    """Profiles this process."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._profile = Profile()

    def begin(self, _pids: Sequence[int]) -> None:
        """Count from now on."""
        self._profile.begin()

    def end(self, _pids: Sequence[int]) -> None:
        """Keep what was counted."""
        self.seconds = self._profile.end()


class Outside:
    """Profiles a process that was started by `python`."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "profile.json"
        self.python = (sys.executable, "-m", "bench.profiled", str(self._path))

    def begin(self, pids: Sequence[int]) -> None:
        """Have it count from now on."""
        os.kill(pids[0], signal.SIGUSR1)

    def end(self, pids: Sequence[int]) -> None:
        """Have it write what it has counted."""
        os.kill(pids[0], signal.SIGUSR2)
        limit = time.monotonic() + WRITTEN_S_MAX
        while not self._path.exists():
            if time.monotonic() > limit:
                raise TimeoutError(
                    f"process {pids[0]} wrote no {self._path.name} within {WRITTEN_S_MAX:g} s; "
                    "what it printed is beside it"
                )
            time.sleep(0.01)

    @property
    def seconds(self) -> dict[str, float]:
        """What it has written."""
        return msgspec.json.decode(self._path.read_bytes(), type=dict[str, float])


def sampled(watch: Inside | Outside, run: Callable[[Round], Sample], task: Round) -> Sample:
    """Run the round; what its meter measures is profiled, and its stages become figures."""
    Meter.watch = watch
    try:
        sample = run(task)
    finally:
        Meter.watch = None
    return with_stages(sample, watch.seconds, task.operations)


def with_stages(sample: Sample, seconds: dict[str, float], operations: int) -> Sample:
    """Return the sample with the microseconds of each stage as figures, the largest first."""
    stages = sorted(seconds.items(), key=lambda row: -row[1])
    figures = {f"{PREFIX}{stage}": 1e6 * used / operations for stage, used in stages}
    return msgspec.structs.replace(sample, figures=figures)
