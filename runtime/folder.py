"""A real folder as a `runtime.host.Disk`: durable files, and locks that die with their process."""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

import anyio
import anyio.to_thread

from runtime.errors import EnvironmentUnready


class _FileLock:
    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def release(self) -> None:
        os.close(self._descriptor)


class Folder:
    """A real folder. File operations run in a worker thread: an fsync may take long."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._waiting: list[_NewFile] = []
        self._writing = anyio.Lock()
        try:
            root.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise _unusable(root, error) from error

    def lock(self, name: str) -> "_FileLock":
        """Take a lock; see `Disk`."""
        path = self.root / f"{name}.lock"
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise _unusable(path, error) from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            raise EnvironmentUnready(
                f"{path} is locked: another process is using this data",
                hint="stop the other process, or choose another folder with --data-dir",
            ) from error
        return _FileLock(descriptor)

    async def write_new(self, name: str, data: bytes) -> None:
        """Do it with all others that wait: a folder is synced once for all that is new in it."""
        file = _NewFile(self.root / name, data)
        self._waiting.append(file)
        try:
            async with self._writing:
                if file in self._waiting:
                    files, self._waiting = self._waiting, []
                    await anyio.to_thread.run_sync(_write_together, files)
        finally:
            if file in self._waiting:  # cancelled before anybody began with it
                self._waiting.remove(file)
        if not file.told:
            raise OSError(errno.ECANCELED, "who was writing it was cancelled")
        if file.failure is not None:
            raise file.failure

    async def write_once(self, name: str, data: bytes) -> None:
        """Create a file; see `Disk`."""
        await anyio.to_thread.run_sync(self._write_once, name, data)

    def _write_once(self, name: str, data: bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # A draft of one's own, because other processes may be at it; a link never replaces.
        descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            _write(descriptor, data)
            with contextlib.suppress(FileExistsError):
                os.link(draft, path)
        finally:
            os.unlink(draft)
        _sync_folder(path.parent)

    async def read(self, name: str) -> bytes | None:
        """Return a file; see `Disk`."""
        try:
            return await anyio.to_thread.run_sync((self.root / name).read_bytes)
        except FileNotFoundError:
            return None

    async def names(self, folder: str) -> list[str]:
        """Return the names; see `Disk`."""
        return await anyio.to_thread.run_sync(self._names, folder)

    def _names(self, folder: str) -> list[str]:
        path = self.root / folder
        if not path.is_dir():
            return []
        found = (entry.name for entry in path.iterdir() if entry.is_file())
        return sorted(f"{folder}/{name}" for name in found if not name.startswith("."))

    async def remove(self, name: str) -> None:
        """Remove a file; see `Disk`."""
        await anyio.to_thread.run_sync(self._remove, name)

    def _remove(self, name: str) -> None:
        path = self.root / name
        for left in (path, _draft(path)):
            left.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_folder(path.parent)


def _unusable(path: Path, error: OSError) -> EnvironmentUnready:
    return EnvironmentUnready(
        f"{path} cannot be made: {error.strerror}",
        hint="data_dir (--data-dir) must be a folder on a disk with room, that may be written to",
    )


def _draft(path: Path) -> Path:
    return path.with_name(f".{path.name}.draft")


class _NewFile:
    """A file that is to be written, and whether it was."""

    __slots__ = ("_draft", "data", "failure", "path", "told")

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.data = data
        self.told = False
        self.failure: OSError | None = None
        self._draft: BinaryIO | None = None

    def attempt(self, step: "Callable[[_NewFile], None]") -> None:
        """Do the next step, unless one before it has failed."""
        if self.failure is None:
            try:
                step(self)
            except OSError as error:
                self.failure = error
                self._close()

    def write(self) -> None:
        """Write it, under its draft's name."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        self._draft = open(os.open(_draft(self.path), flags, 0o600), "wb")  # noqa: SIM115
        self._draft.write(self.data)
        self._draft.flush()

    def sync(self) -> None:
        """Sync the draft."""
        assert self._draft is not None, "it was written"
        os.fsync(self._draft.fileno())
        self._close()

    def rename(self) -> None:
        """Give it its name."""
        _draft(self.path).replace(self.path)

    def _close(self) -> None:
        if self._draft is not None:
            draft, self._draft = self._draft, None
            with contextlib.suppress(OSError):  # what it could not write has been told
                draft.close()


def _write_together(files: Sequence[_NewFile]) -> None:
    """Write the files under other names, sync them, rename them, and sync their folders.

    All are written before the first is synced: with that one the file system has synced most of
    what the others need.
    """
    last = {file.path: file for file in files}  # of two with one name the later one stays
    for step in (_NewFile.write, _NewFile.sync, _NewFile.rename):
        for file in last.values():
            file.attempt(step)
    renamed = [file for file in last.values() if file.failure is None]
    for folder in dict.fromkeys(file.path.parent for file in renamed):
        try:
            _sync_folder(folder)
        except OSError as error:
            for file in renamed:
                if file.path.parent == folder:
                    file.failure = error
    for file in files:
        file.failure = last[file.path].failure
        file.told = True


def _write(descriptor: int, data: bytes) -> None:
    with open(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
