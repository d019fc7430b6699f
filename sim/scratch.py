"""Where runs keep their files: in memory, and gone after them, however they end.

A run removes its own folder. A worker that is killed in the middle cannot, so its parent gives it a
folder of its own and removes that. A parent that is killed cannot either: the names hold its
process id, and the next one clears up after it.
"""

import os
import shutil
import tempfile
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 - folders of our own are made below it
_PREFIX = "ordermill-sim-"


class _Place:
    folder: Path | None = None


def where() -> Path:
    """Return the folder in which runs of this process make theirs."""
    if _Place.folder is not None:
        return _Place.folder
    return _MEMORY if _MEMORY.is_dir() else Path(tempfile.gettempdir())


def run_folder() -> Path:
    """Make the folder of one run."""
    return Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-", dir=where()))


def use(folder: Path) -> None:
    """Have the runs of this process (a worker) make their folders below ``folder``."""
    _Place.folder = folder


def clear_up() -> None:
    """Remove what processes that live no more have left."""
    for folder in where().glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not Path("/proc", pid).exists() and Path("/proc/self").exists():
            shutil.rmtree(folder, ignore_errors=True)
