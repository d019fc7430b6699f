"""Faults of a disk under a live process: system calls that fail or dawdle, and a disk that is full.

strace(1) attaches to a process and lets the calls through, but for the one that is to fail: the
kernel then never sees it, and the program gets the error. What it had written before stays where it
was, as after a real error. Nothing in the product knows of it.
"""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import anyio
import anyio.to_thread
import msgspec
import pytest

ATTACH_S_MAX = 30.0


class Fault(msgspec.Struct, frozen=True):
    """``call`` of the kernel that goes wrong, how (``error=EIO``, ``delay_enter=300000``), when.

    ``when`` is strace's: ``3`` the third such call of a thread from now on, ``1+`` all of them.
    Without ``path``, the calls for every file.
    """

    call: str
    how: str
    when: str = "1+"
    path: Path | None = None

    def __str__(self) -> str:
        place = "" if self.path is None else f" of {self.path.name}"
        return f"{self.call} {self.how} #{self.when}{place}"


class Injection:
    """strace at work on a process. ``lines`` are the calls that it has seen fail."""

    def __init__(self, pid: int, fault: Fault, log: Path) -> None:
        self._log = log
        self._pid = pid
        log.unlink(missing_ok=True)
        place = [] if fault.path is None else ["-P", str(fault.path)]
        rule = f"{fault.call}:{fault.how}:when={fault.when}"
        self._process = subprocess.Popen(
            [
                *("strace", "-f", "-ttt", "-o", str(log), "-p", str(pid), *place),
                *("-e", f"trace={fault.call}", "-e", f"inject={rule}"),
            ],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        assert self._process.stderr is not None
        said = self._process.stderr.readline().decode()
        assert "attached" in said, f"strace cannot be used: {said}"

    def hits(self) -> list[float]:
        """Return when calls were made to fail or to wait: seconds of the wall clock."""
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [float(line.split()[1]) for line in lines if "INJECTED" in line or "DELAYED" in line]

    def detach(self) -> None:
        """Let the process go on as before.

        It is stopped meanwhile, outside of every call: one that strace leaves in the midst of being
        failed ends with ENOSYS, which is another error than the one that was asked for.
        """
        with self._stopped():
            if self._process.poll() is None:
                self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(ATTACH_S_MAX)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        assert self._process.stderr is not None
        self._process.stderr.close()

    @contextmanager
    def _stopped(self) -> Iterator[None]:
        """Stop all threads of the process, if it still lives, until the block ends."""
        try:
            os.kill(self._pid, signal.SIGSTOP)
        except ProcessLookupError:
            yield
            return
        limit = time.monotonic() + ATTACH_S_MAX
        while self._process.poll() is None and not self._all_stopped():
            assert time.monotonic() < limit, f"process {self._pid} does not stop"
            time.sleep(0.005)
        try:
            yield
        finally:
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGCONT)

    def _all_stopped(self) -> bool:
        try:
            threads = set(os.listdir(f"/proc/{self._pid}/task"))
        except FileNotFoundError:
            return True
        lines = self._log.read_text().splitlines()
        return threads <= {line.split()[0] for line in lines if "--- stopped by SIGSTOP" in line}


@asynccontextmanager
async def injected(pid: int, fault: Fault, log: Path) -> AsyncIterator[Injection]:
    """Have the process suffer ``fault`` until the block ends; ``log`` is a file of strace's."""
    injection = await anyio.to_thread.run_sync(Injection, pid, fault, log)
    try:
        yield injection
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(injection.detach)


def suffering(fault: Fault, log: Path, command: Sequence[str]) -> list[str]:
    """Return the command that starts ``command`` with the fault in place from its beginning.

    strace becomes a grandchild (``-D``), so that the process is the one that was started.
    """
    place = [] if fault.path is None else ["-P", str(fault.path)]
    rule = f"{fault.call}:{fault.how}:when={fault.when}"
    options = ["-D", "-f", "--seccomp-bpf", "-o", str(log), *place]
    return ["strace", *options, "-e", f"trace={fault.call}", "-e", f"inject={rule}", *command]


def need_strace() -> None:
    """Skip the test where no process may be traced; fail where that is required."""
    if shutil.which("strace") is None:
        _skip("strace is not installed (Debian: apt-get install strace)")
    tried = subprocess.run(["strace", "-o", os.devnull, "true"], capture_output=True, check=False)
    if tried.returncode:
        _skip(f"no process may be traced here: {tried.stderr.decode().strip()}")


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a disk of this size at ``folder``; skip the test where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=700", "none", str(folder)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        _skip(f"no disk may be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        limit = time.monotonic() + ATTACH_S_MAX
        while subprocess.run(["umount", str(folder)], capture_output=True, check=False).returncode:
            assert time.monotonic() < limit, f"{folder} cannot be unmounted"
            time.sleep(0.1)


def fill(disk: Path) -> Path:
    """Leave no room on the disk; what is filled is one file, which can be removed."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            return filler


def _skip(reason: str) -> None:
    if os.environ.get("ORDERMILL_REQUIRE_FAULTS") == "1":
        pytest.fail(f"ORDERMILL_REQUIRE_FAULTS=1, but {reason}")
    pytest.skip(reason)
