"""The ``ordermill`` command as its users run it: a process of its own."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 60.0
FREE_PORTS = (
    *("--set", "http.port=0", "--set", "order_events.port=0", "--set", "payment.port=0"),
    *("--set", "shipping.port=0", "--set", "notification.port=0"),
)
MAIN = (sys.executable, "-c", "from actors.cli import main; main()")


def environment(**changes: str) -> dict[str, str]:
    """Return this process's environment without ours variables, then changes."""
    kept = {name: text for name, text in os.environ.items() if not name.startswith("ORDERMILL_")}
    return {**kept, "COLUMNS": "100", **changes}


def run(
    *arguments: str, cwd: Path, variables: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run one command to its end."""
    return subprocess.run(
        [*MAIN, *arguments],
        cwd=cwd,
        env=environment(**(variables or {})),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


class Serving:
    """A command that serves. ``output`` is what it has printed so far, both streams."""

    def __init__(self, arguments: Sequence[str], cwd: Path, **variables: str) -> None:
        self.output = ""
        self._process = subprocess.Popen(
            [*MAIN, *arguments],
            cwd=cwd,
            env=environment(**variables),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait_for(self, text: str, *, after: int = 0) -> str:
        """Return the line that holds ``text`` once it was printed, behind ``after`` characters."""
        limit = time.monotonic() + PATIENCE_S
        while text not in self.output[after:]:
            if time.monotonic() > limit or not self._read():
                raise AssertionError(f"{text!r} was not printed:\n{self.output}")
        return next(line for line in self.output[after:].splitlines() if text in line)

    def said(self) -> str:
        """Return what it has printed by now."""
        while self._read(0.0, True):
            continue
        return self.output

    def _read(self, wait_s: float = 0.5, empty: bool = False) -> bool:
        """Take what was printed; False once the process has closed its output.

        ``empty``: also False once there is nothing more for now.
        """
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], wait_s)
        if not ready:
            return not empty
        data = os.read(self._process.stdout.fileno(), 65536)
        self.output += data.decode(errors="replace")
        return bool(data)

    def runs(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Return the exit code once the process has ended; the rest of the output is read."""
        limit = time.monotonic() + PATIENCE_S
        while self._read():
            assert time.monotonic() < limit, f"still running:\n{self.output}"
        return self._process.wait(PATIENCE_S)

    def close(self) -> None:
        """Kill it if it still runs."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()


@contextmanager
def serving(*arguments: str, cwd: Path, **variables: str) -> Iterator[Serving]:
    """Run a command that serves until the block ends."""
    command = Serving(arguments, cwd, **variables)
    try:
        yield command
    finally:
        command.close()


@contextmanager
def up(cwd: Path, *settings: str) -> Iterator[tuple[Serving, str]]:
    """Run ``ordermill up`` on free ports; yield it and the URL it serves."""
    chosen = [part for setting in settings for part in ("--set", setting)]
    with serving(*FREE_PORTS, *chosen, "up", cwd=cwd) as command:
        yield command, command.wait_for("ready in").split()[-1]
