"""CPU time and memory of processes, read from Linux's /proc (proc(5))."""

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import ClassVar, Protocol

from bench.sample import Latency, Sample
from sim.patience import cpu_s


def peak_mib(pid: int) -> float:
    """Return the largest resident size that a process has had."""
    return _status(pid, "VmHWM:")


def resident_mib(pid: int) -> float:
    """Return a process's resident size now."""
    return _status(pid, "VmRSS:")


def forget_peak(pid: int) -> None:
    """Let the peak begin anew from here."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")


def _status(pid: int, name: str) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    raise LookupError(f"/proc/{pid}/status has no {name}")


class Watch(Protocol):
    """Somebody who looks closer at what a meter measures."""

    def begin(self, pids: Sequence[int]) -> None:
        """The stretch begins; ``pids`` are the processes, none if it is this one."""
        ...

    def end(self, pids: Sequence[int]) -> None:
        """It has ended."""
        ...


class Meter:
    """Measures this process, and others whose ids are given, between `start` and `stop`.

    A round has a process of its own, hence one ``watch`` at most.
    """

    watch: ClassVar[Watch | None] = None

    def __init__(self, pids: Sequence[int] = (), broker_pid: int = 0) -> None:
        self._pids = tuple(pids)
        self._broker_pid = broker_pid
        self._begun = (0.0, 0.0, 0.0)
        self._used = (0.0, 0.0, 0.0)

    def start(self) -> None:
        """Begin; what was in memory only before does not count."""
        for pid in self._pids or (os.getpid(),):
            forget_peak(pid)
        if self.watch is not None:
            self.watch.begin(self._pids)
        self._begun = self._now()

    def stop(self) -> None:
        """End; `sample` tells what was between."""
        now = self._now()
        self._used = (
            now[0] - self._begun[0],
            now[1] - self._begun[1],
            now[2] - self._begun[2],
        )
        if self.watch is not None:
            self.watch.end(self._pids)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure what happens in the block."""
        self.start()
        yield
        self.stop()

    def sample(
        self,
        operations: int,
        latencies: Sequence[float] = (),
        *,
        errors: int = 0,
        **figures: float,
    ) -> Sample:
        """Return the measured stretch as a sample of this many operations."""
        wall_s, used_s, broker_s = self._used
        return Sample(
            operations=operations,
            wall_s=wall_s,
            cpu_s=used_s,
            memory_mib=round(max(peak_mib(pid) for pid in self._pids or (os.getpid(),)), 1),
            broker_cpu_s=broker_s,
            latency=Latency.of(latencies),
            errors=errors,
            figures=figures,
        )

    def _now(self) -> tuple[float, float, float]:
        # Who generates the load in a process of its own does not count.
        used = sum(map(cpu_s, self._pids)) if self._pids else time.process_time()
        broker = cpu_s(self._broker_pid) if self._broker_pid else 0.0
        return time.perf_counter(), used, broker
