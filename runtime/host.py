"""The only seam between this program and the outside world.

Everything that a run of the same code could see differently - clock, entropy, files, sockets -
comes from a `Host`, which is passed in and never found in a global. `production_host` builds the
real one; the simulator builds one per node.
"""

import asyncio
import fcntl
import gc
import hashlib
import os
import random
import resource
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol, TypeVar

import anyio

from runtime.folder import Folder

GC_THRESHOLDS = 10_000, 20, 20
_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [first + second for first in _CROCKFORD for second in _CROCKFORD]
_DERIVED = uuid.UUID("6f0a1c1e-4a53-5d0e-9d5a-1b7d2f6c9e10").bytes


T = TypeVar("T")


class Clock(Protocol):
    """Two clocks: one for durations, one for dates."""

    def monotonic(self) -> float:
        """Return seconds since an arbitrary point; never goes back. For deadlines and delays."""
        ...

    def wall(self) -> float:
        """Return seconds since the Unix epoch; may jump. For timestamps people read."""
        ...


class Disk(Protocol):
    """A folder that survives a crash of the process."""

    @property
    def root(self) -> Path:
        """The folder; databases are opened by path inside it."""
        ...

    def lock(self, name: str) -> "Lock":
        """Take the exclusive lock ``name``; EnvironmentUnready if another process holds it."""
        ...

    async def write_new(self, name: str, data: bytes) -> None:
        """Durably create or replace a file in one step: a crash leaves all or nothing."""
        ...

    async def write_once(self, name: str, data: bytes) -> None:
        """Durably create a file, whole, unless it is there: the first of several writers wins."""
        ...

    async def read(self, name: str) -> bytes | None:
        """Return the file's bytes, or None where there is none."""
        ...

    async def names(self, folder: str) -> list[str]:
        """Names (``folder/file``) of the files in ``folder``, sorted; empty if it is missing."""
        ...

    async def remove(self, name: str) -> None:
        """Durably remove the file if it is there, and what a crash has left of its making."""
        ...


class Lock(Protocol):
    """A lock that is held until released or until the process dies."""

    def release(self) -> None:
        """Give the lock back."""
        ...


class Listener(Protocol):
    """A listening socket."""

    @property
    def port(self) -> int:
        """The port that is bound (useful when 0 was asked for)."""
        ...

    async def close(self) -> None:
        """Stop listening; connections already accepted stay."""
        ...


class Network(Protocol):
    """TCP, seen from a server. Clients connect through their own library's default path."""

    async def listen(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> Listener:
        """Accept connections on ``host:port`` with one protocol each."""
        ...


class Ids:
    """Identifiers, unique and sortable by time, drawn from the host's clock and entropy.

    Text form: ``<prefix>_`` and 26 characters of Crockford base32 (128 bits).
    """

    def __init__(self, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._random = rng
        self._last = 0

    def new(self, prefix: str) -> str:
        """Return a fresh id from a UUID version 7 (RFC 9562, 5.7); increasing within a process."""
        millis = int(self._clock.wall() * 1000)
        drawn = self._random.getrandbits(74)
        value = (millis & (1 << 48) - 1) << 80 | 7 << 76 | (drawn >> 62) << 64
        value |= 2 << 62 | drawn & (1 << 62) - 1
        if value <= self._last:
            value = self._last + 1
        self._last = value
        return f"{prefix}_{_base32(value)}"

    @staticmethod
    def derived(prefix: str, *parts: str | int) -> str:
        """Return the id that these parts always give (UUID version 5, RFC 9562, 5.5)."""
        name = "\x1f".join([str(part) for part in parts])
        digest = hashlib.sha1(_DERIVED + name.encode(), usedforsecurity=False).digest()
        value = int.from_bytes(digest[:16], "big")
        value = value & ~(0xF << 76) & ~(3 << 62) | 5 << 76 | 2 << 62
        return f"{prefix}_{_base32(value)}"


def _base32(value: int) -> str:
    return "".join([_PAIRS[value >> shift & 1023] for shift in range(120, -1, -10)])


@dataclass(frozen=True, slots=True)
class Host:
    """What one process may touch of the world."""

    clock: Clock
    random: random.Random
    ids: Ids
    disk: Disk
    network: Network


class _SystemClock:
    def monotonic(self) -> float:
        return time.monotonic()

    def wall(self) -> float:
        return time.time()


class _TcpListener:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()


class _Tcp:
    async def listen(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> Listener:
        loop = asyncio.get_running_loop()
        return _TcpListener(await loop.create_server(factory, host, port))


def run_process(main: Callable[..., Awaitable[T]], *args: object) -> T:
    """Run ``main(*args)`` in an event loop of its own, the fastest that is installed.

    With uvloop (the extra ``fast``) the loop itself costs less than half; nothing else differs.
    The cyclic collector looks less often, and no more at what the program has loaded: next to
    nothing of ours is a cycle, and a look costs the more, the more is in memory.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GC_THRESHOLDS)
    options = {"use_uvloop": find_spec("uvloop") is not None}
    return anyio.run(main, *args, backend_options=options)


Signal = asyncio.Future[None]
"""Awaited by one task, ended once by another (`new_signal`, `give_signal`)."""


def new_signal() -> Signal:
    """Return a signal of the running loop: the event loop's own, an eighth of an anyio.Event.

    For what happens once a message (mailbox, ask); everything else waits on anyio's events.
    """
    return asyncio.get_running_loop().create_future()


def give_signal(signal: Signal) -> bool:
    """Wake the task that awaits ``signal``; False if it was cancelled, or woken before."""
    if signal.done():
        return False
    signal.set_result(None)
    return True


async def wait_at_most(event: anyio.Event, seconds: float) -> None:
    """Wait for an event that only the caller waits for; when the time is up, it is set.

    For pauses, which nearly always last to their end: this timer costs a third of what it takes to
    cancel a wait.
    """
    timer = asyncio.get_running_loop().call_later(seconds, event.set)
    try:
        await event.wait()
    finally:
        timer.cancel()


def allow_open_files() -> None:
    """Let this process open as many files as it may ever: each connection is one.

    The soft limit is kept low, at 1024, for the sake of programs that use select (systemd.exec(5),
    LimitNOFILE=): the event loop does not.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def forbid_core_dumps() -> None:
    """Have no crash of this process leave its memory on a disk: secrets pass through it."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def is_locked(path: Path) -> bool:
    """Whether a process holds the lock of this file (`Disk.lock`) now."""
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def production_host(data_dir: Path) -> Host:
    """Return the host of a real process whose files live in ``data_dir``."""
    clock, rng = _SystemClock(), random.SystemRandom()
    return Host(clock, rng, Ids(clock, rng), Folder(data_dir), _Tcp())
