"""The machine that figures were measured on, and how busy it was with other things."""

import os
import platform
import sqlite3
import subprocess
import time
from importlib import metadata
from pathlib import Path

import msgspec

_PACKAGES = ("aiormq", "anyio", "eventsourcing", "faststream", "pykka", "quart", "thespian")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """``load_before`` is the load average (1 min) before the run: 0 means that it was quiet."""

    cores: int
    cpu: str
    memory_gib: int
    system: str
    python: str
    sqlite: str
    packages: dict[str, str]
    load_before: float

    def line(self) -> str:
        """Return it in one line."""
        return (
            f"{self.cores} cores ({self.cpu}), {self.memory_gib} GiB, {self.system}, "
            f"Python {self.python}, SQLite {self.sqlite} (WAL, synchronous=FULL), "
            f"load average before the run {self.load_before:.2f}"
        )


def this_machine() -> Machine:
    """Return what this machine is, now."""
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        cpu=_first("/proc/cpuinfo", "model name", platform.machine()),
        memory_gib=round(int(_first("/proc/meminfo", "MemTotal", "0").split()[0]) / 2**20),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        sqlite=sqlite3.sqlite_version,
        packages={name: version for name in _PACKAGES if (version := _version(name))},
        load_before=round(os.getloadavg()[0], 2),
    )


def now() -> str:
    """Return the date and time of a run."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def commit() -> str:
    """Return the commit that is checked out here, ``+`` if files differ from it; empty if none."""
    try:
        found = subprocess.run(
            ["git", "describe", "--always", "--dirty=+", "--exclude=*"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError:
        return ""
    return found.stdout.strip()


def _first(path: str, key: str, otherwise: str) -> str:
    for line in Path(path).read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            return value.strip()
    return otherwise


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""
