"""Disks that survive their processes, and what a crash leaves on them.

The law: an incarnation works on files of its own; when it dies, an *image* of them is what the
next one finds, and whatever the dead one's open files still hold can reach nobody. A killed process
leaves all it had written. A power cut leaves all that was synced, and of the write-ahead log's
last writes a part at most: what SQLite had not synced is cut off or flipped (it is at the COMMIT
under way, because every database runs with synchronous=FULL).

Files are real and lie in memory (tmpfs, where there is one), so an fsync costs nothing here; what
it costs is virtual time, drawn from the disk's own stream.
"""

import asyncio
import random
import shutil
import sqlite3
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import msgspec

from runtime.errors import EnvironmentUnready
from runtime.host import Lock
from sim.bystander import Watch
from sim.incarnation import Incarnation
from sim.loop import VirtualLoop
from sim.sqlite import DRIVES, Failure, Moment, SimConnection
from sim.trace import Trace

Damage = Literal["none", "cut", "flip"]
_NOT_KEPT = shutil.ignore_patterns("*-shm")


def _nobody(_inside: bool) -> None:
    """Nobody wants to know."""


class PowerCut(msgspec.Struct, frozen=True):
    """The power goes at a statement. ``damage``: what becomes of log writes not yet synced.

    ``told``: it is only a SIGKILL, so a kernel is left that closes the process's connections.
    """

    damage: Damage = "none"
    told: bool = False


class Arm(msgspec.Struct, eq=False):
    """Something that happens at the ``left``-th statement from now that matches.

    ``only`` is how it begins, ``database`` the name of the file that it is for; empty: any.
    ``happened`` is told when it does, and whether that was inside a transaction.
    """

    left: int
    moment: Moment
    what: Failure | PowerCut
    only: str = ""
    happened: Callable[[bool], None] = _nobody
    database: str = ""


class Storage:
    """The disk of one node, over all its incarnations, below ``root``.

    ``die`` is called when an armed power cut has taken its image: it must kill the incarnation.
    ``gone``: the image has been taken, so what is written now reaches nobody.
    ``operations`` counts what was asked of the disk, ``delayed`` what had to wait for a stall;
    ``waits_until_s`` is when the last of that is carried out.
    """

    def __init__(
        self, root: Path, node: str, rng: random.Random, loop: VirtualLoop, trace: Trace
    ) -> None:
        self.node = node
        self.latency_s_min, self.latency_s_max = 0.0002, 0.002
        self.stalled_until_s = self.waits_until_s = 0.0
        self.arms: list[Arm] = []
        self.fired: list[str] = []
        self.die: Callable[[PowerCut], None] | None = None
        self.bystander: Callable[[str, int, str], Watch] | None = None
        self.operations = self.delayed = self.refused = 0
        self.gone = False
        self.page_limit = 0
        self._connections: list[SimConnection] = []
        self._root = root / node
        self._generation = 0
        self._random = rng
        self._loop = loop
        self._trace = trace
        self._owner: Incarnation | None = None
        self._locks: set[str] = set()
        self._last_wal: tuple[str, bytes] | None = None
        self._cut: PowerCut | None = None
        self._folder().mkdir(parents=True)

    @property
    def folder(self) -> Path:
        """Where the node's files are now."""
        return self._folder()

    def mount(self, owner: Incarnation) -> "SimDisk":
        """Give the disk to an incarnation."""
        assert self._owner is None, "one incarnation at a time"
        self._owner, self.gone, self._cut = owner, False, None
        self._locks.clear()
        DRIVES[owner] = self
        owner.on_death.append(self._unmount)
        return SimDisk(self, self._folder(), owner)

    def take_image(self) -> None:
        """Fix what the next incarnation finds as it is now."""
        if self.gone:
            return
        self.gone = True
        before = self._folder()
        self._generation += 1
        shutil.copytree(before, self._folder(), ignore=_NOT_KEPT, copy_function=shutil.copy)

    def _unmount(self) -> None:
        self.take_image()
        if self._owner is not None:
            DRIVES.pop(self._owner, None)
        self._owner = None
        self.arms.clear()
        self._connections.clear()

    # -- what SQLite's connections ask (`sim.sqlite.Drive`) ---------------------------------------

    def delays(self) -> tuple[float, float]:
        """Return the seconds until an operation executes, and from then to its answer."""
        self.operations += 1
        least = self.latency_s_min
        latency = least + (self.latency_s_max - least) * self._random.random()
        stall = self.stalled_until_s - self._loop.time() if self.stalled_until_s else 0.0
        if stall <= 0.0:
            return latency, latency / 2
        self.delayed += 1
        self.waits_until_s = max(self.waits_until_s, self.stalled_until_s)
        return stall + latency, latency / 2

    def statement(self, sql: str, moment: Moment, connection: SimConnection) -> None:
        """Let what is armed for this statement happen."""
        if self.gone:
            return
        if moment == "before" and sql == "COMMIT":
            self._remember(connection.wal)
        for arm in self.arms:
            wanted = arm.moment == moment and sql.startswith(arm.only)
            if wanted and arm.database in connection.wal:
                arm.left -= 1
                if arm.left <= 0:
                    self.arms.remove(arm)
                    self._fire(arm, sql, connection)
                    return

    def executed(self) -> bool:
        """Whether the power is still there; if an armed cut took it, the incarnation dies now."""
        owner = self._owner
        if self._cut is not None and owner is not None and owner.alive:
            assert self.die is not None, "somebody switches the power off"
            self.die(self._cut)
            return False
        return owner is not None and owner.alive

    def opened(self, connection: SimConnection) -> None:
        """A connection is there; on a full disk its file cannot grow."""
        self._connections.append(connection)
        if self.page_limit:
            connection.limit_pages(self.page_limit)

    def raised(self, error: sqlite3.Error) -> None:
        """SQLite has raised this by itself."""
        if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_FULL:
            self.refused += 1

    def note(self, *facts: str | int) -> None:
        """Put a line into the trace."""
        self._trace.note(self._loop.time(), "disk", self.node, *facts)

    def watch(self, database: str) -> Watch | None:
        """Return who watches a new connection to this file, if anybody does."""
        if self.bystander is None or self._owner is None:
            return None
        return self.bystander(self.node, self._owner.number, database)

    # -- faults -----------------------------------------------------------------------------------

    def limit_pages(self, limit: int) -> None:
        """Let no file grow beyond so many pages, or beyond its present size; 0: as it likes."""
        self.page_limit = limit
        for connection in self._connections:
            connection.limit_pages(limit)

    def disarm(self, arm: Arm) -> None:
        """Take an arm away that has not gone off."""
        if arm in self.arms:
            self.arms.remove(arm)

    def _fire(self, arm: Arm, sql: str, connection: SimConnection) -> None:
        word = sql.split(None, 1)[0]
        arm.happened(connection.in_transaction)
        match arm.what:
            case Failure() as failure:
                self.fired.append(f"{failure.name} {arm.moment} {word}")
                self.note("failure", failure.name, arm.moment, word)
                raise failure.error()
            case PowerCut() as cut:
                self.fired.append(f"power cut {arm.moment} {word}")
                self.note("power-cut", cut.damage, arm.moment, word)
                self._cut = cut
                self.take_image()
                if sql == "COMMIT" and arm.moment == "after":
                    self._damage(cut.damage, connection.wal)

    def _remember(self, wal: str) -> None:
        path = Path(wal)
        self._last_wal = wal, path.read_bytes() if path.exists() else b""

    def _damage(self, damage: Damage, wal: str) -> None:
        """Spoil in the image what the COMMIT has just added to the log."""
        if damage == "none" or self._last_wal is None or self._last_wal[0] != wal:
            return
        path = self._folder() / Path(wal).name
        before, after = self._last_wal[1], path.read_bytes()
        shorter = range(1, min(len(before), len(after)) + 1)
        durable = bisect_left(shorter, True, key=lambda size: before[:size] != after[:size])
        if durable >= len(after):
            return
        at = self._random.randrange(durable, len(after))
        spoilt = (
            after[:at]
            if damage == "cut"
            else after[:at] + bytes([after[at] ^ 0x5A]) + after[at + 1 :]
        )
        path.write_bytes(spoilt)
        self.fired.append(f"log tail {damage}")
        self.note("log-tail", damage, at - durable, len(after) - durable)

    def _folder(self) -> Path:
        return self._root / str(self._generation)

    # -- what a process asks ----------------------------------------------------------------------

    def take_lock(self, name: str) -> Lock:
        """Take a lock that the incarnation's death releases."""
        if name in self._locks:
            raise EnvironmentUnready(
                f"{self.node}: {name} is locked", hint="stop the other process"
            )
        self._locks.add(name)
        return _Held(self._locks, name)


class _Held:
    def __init__(self, locks: set[str], name: str) -> None:
        self._locks, self._name = locks, name

    def release(self) -> None:
        self._locks.discard(self._name)


class SimDisk:
    """A `runtime.host.Disk` for one incarnation. Each operation is one step of virtual time."""

    def __init__(self, storage: Storage, root: Path, owner: Incarnation) -> None:
        self.root = root
        self._storage = storage
        self._owner = owner

    def lock(self, name: str) -> Lock:
        """Take the lock; see `runtime.host.Disk`."""
        return self._storage.take_lock(name)

    async def write_new(self, name: str, data: bytes) -> None:
        """Create or replace a file in one step."""
        before, after = self._storage.delays()
        await asyncio.sleep(before)
        path = self.root / name
        try:
            path.write_bytes(data)
        except FileNotFoundError:
            path.parent.mkdir(parents=True)
            path.write_bytes(data)
        self._storage.note("write", name, len(data))
        await asyncio.sleep(after)

    async def write_once(self, name: str, data: bytes) -> None:
        """Create a file unless it is there."""
        if not (self.root / name).exists():
            await self.write_new(name, data)

    async def read(self, name: str) -> bytes | None:
        """Return a file's bytes, or None."""
        await asyncio.sleep(self._storage.delays()[0])
        path = self.root / name
        return path.read_bytes() if path.exists() else None

    async def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted."""
        await asyncio.sleep(self._storage.delays()[0])
        path = self.root / folder
        found = sorted(entry.name for entry in path.iterdir()) if path.is_dir() else []
        return [f"{folder}/{name}" for name in found if not name.startswith(".")]

    async def remove(self, name: str) -> None:
        """Remove a file if it is there."""
        before, after = self._storage.delays()
        await asyncio.sleep(before)
        (self.root / name).unlink(missing_ok=True)
        await asyncio.sleep(after)


def read_only(path: Path) -> sqlite3.Connection:
    """Open a database of a node that is at rest, to look at it."""
    return sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, isolation_level=None)
