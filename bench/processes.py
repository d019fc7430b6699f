"""Processes that are measured from outside: started, waited for, told to stop."""

import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.errors import EnvironmentUnready

READY_S_MAX = 120.0
STOP_S_MAX = 30.0
ORDERMILL = (sys.executable, "-c", "from actors.cli import main; main()")


class Process:
    """One process; its output goes to a file in ``folder``."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self._name = name
        self._output = folder / f"{name}.out"
        with self._output.open("wb") as sink:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink, cwd=folder
            )

    @property
    def pid(self) -> int:
        """Its id."""
        return self._process.pid

    def family(self) -> tuple[int, ...]:
        """Return its id, and those of the processes that it has begun."""
        children = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return (self.pid, *map(int, children.split()))

    def wait_for(self, text: str) -> str:
        """Wait until it prints a line with ``text``; return the line."""
        limit = time.monotonic() + READY_S_MAX
        while True:
            printed = self._output.read_text(errors="replace")
            for line in printed.splitlines():
                if text in line:
                    return line
            if self._process.poll() is not None or time.monotonic() > limit:
                raise EnvironmentUnready(f"{self._name} did not start: {printed[-2000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Tell it to stop, and wait; kill it if it does not. Say so on stderr if it had died."""
        if self._process.poll() is not None:
            printed = self._output.read_text(errors="replace")
            print(f"{self._name} had died:\n{printed[-2000:]}", file=sys.stderr, flush=True)
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def running(name: str, command: Sequence[str], folder: Path) -> Iterator[Process]:
    """Run a process for the length of the block."""
    process = Process(name, command, folder)
    try:
        yield process
    finally:
        process.stop()
