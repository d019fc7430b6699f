"""How long a process may work on one task: by its CPU time, because machines are busy at times."""

import os
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY_MACHINE = 10


def cpu_s(pid: int) -> float:
    """Return the CPU seconds that a process has used, all its threads, user and system.

    The kernel counts in ticks of 10 ms (proc(5)): right for a load of seconds, not for one
    operation.
    """
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Patience:
    """It ends after ``limit_s`` of CPU time, as long a time without any, or ten times as long."""

    def __init__(self, limit_s: float, used_s: float, now: float) -> None:
        self._limit_s = limit_s
        self._begun_s = self._used_s = used_s
        self._begun_at = self._moved_at = now

    def ends(self, used_s: float, now: float) -> bool:
        """Whether it is at its end; ``used_s`` is what the process has used until ``now``."""
        if used_s > self._used_s:
            self._used_s, self._moved_at = used_s, now
        return (
            used_s - self._begun_s > self._limit_s
            or now - self._moved_at > self._limit_s
            or now - self._begun_at > _BUSY_MACHINE * self._limit_s
        )
