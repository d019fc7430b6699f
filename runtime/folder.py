"""A real folder as a `runtime.host.Disk`: durable files, and locks that die with their process."""

import contextlib
import errno
import fcntl
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

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
        for left in (path, path.with_name(_draft(path.name))):
            left.unlink(missing_ok=True)
        if path.parent.is_dir():
            _sync_folder(path.parent)


def _unusable(path: Path, error: OSError) -> EnvironmentUnready:
    return EnvironmentUnready(
        f"{path} cannot be made: {error.strerror}",
        hint="data_dir (--data-dir) must be a folder on a disk with room, that may be written to",
    )


def _draft(name: str) -> str:
    return f".{name}.draft"


class _NewFile:
    """A file that is to be written, and whether it was."""

    __slots__ = ("_descriptor", "_draft", "_name", "data", "failure", "folder", "told")

    def __init__(self, path: Path, data: bytes) -> None:
        self.folder, self._name = os.path.split(path)
        self._draft = _draft(self._name)
        self.data = data
        self.told = False
        self.failure: OSError | None = None
        self._descriptor = -1

    @property
    def place(self) -> tuple[str, str]:
        """Its folder and its name."""
        return self.folder, self._name

    def attempt(self, step: "Callable[[_NewFile, int], None]", folder: int) -> None:
        """Do the next step in the open ``folder``, unless one before it has failed."""
        if self.failure is None:
            try:
                step(self, folder)
            except OSError as error:
                self.failure = error
                self._close()

    def write(self, folder: int) -> None:
        """Write it, under its draft's name."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._descriptor = os.open(self._draft, flags, 0o600, dir_fd=folder)
        left = memoryview(self.data)
        while left:
            left = left[os.write(self._descriptor, left) :]

    def sync(self, _folder: int) -> None:
        """Sync the draft."""
        os.fsync(self._descriptor)
        self._close()

    def rename(self, folder: int) -> None:
        """Give it its name."""
        os.rename(self._draft, self._name, src_dir_fd=folder, dst_dir_fd=folder)

    def _close(self) -> None:
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            with contextlib.suppress(OSError):  # what it could not write has been told
                os.close(descriptor)


def _write_together(files: Sequence[_NewFile]) -> None:
    """Write the files, folder by folder, and tell each whether it is there."""
    last = {file.place: file for file in files}  # of two with one name the later one stays
    folders: dict[str, list[_NewFile]] = {}
    for file in last.values():
        folders.setdefault(file.folder, []).append(file)
    for folder, its_files in folders.items():
        try:
            _write_into(folder, its_files)
        except OSError as error:
            for file in its_files:
                file.failure = file.failure or error
    for file in files:
        file.failure = last[file.place].failure
        file.told = True


def _write_into(folder: str, files: Sequence[_NewFile]) -> None:
    """Write the files under other names, sync them, rename them, and sync their folder.

    All are written before the first is synced: with that one the file system has synced most of
    what the others need. Each call of the system is a hand-over to the event loop's thread and
    back, which costs more than the call: hence as few of them as there can be.
    """
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for step in (_NewFile.write, _NewFile.sync, _NewFile.rename):
            for file in files:
                file.attempt(step, descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
