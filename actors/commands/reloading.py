"""``ordermill up --reload``: the system as a child process, started again when its code changes.

Nothing is lost by that: the child is asked to finish, and whatever it has not finished is durable.
A child that ends by itself, such as at a syntax error, is started again after the next change.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import anyio

import actors
import runtime
from actors.cli import Options
from actors.commands.children import BROKER_URL, Child, general_arguments, without_broker
from actors.commands.saying import say
from actors.commands.settings import DEFAULT_FILE
from actors.commands.stopping import Stop
from actors.settings import Settings
from runtime.config import Loaded

LOOK_S = 0.5
SUFFIXES = frozenset((".py", ".html", ".txt", ".css", ".js", ".svg", ".json"))
Seen = dict[Path, tuple[int, int]]
"""Each file's time of change in nanoseconds, and its size."""


async def up_reloading(
    loaded: Loaded[Settings],
    options: Options,
    flags: Mapping[str, object],
    first_ready: Callable[[str], None],
) -> int:
    """Run the system until a signal; return the exit code. ``first_ready`` is given its URL."""
    reloading = _Reloading(loaded, options, flags, first_ready)
    async with Stop(at_once=reloading.kill) as stop:
        await reloading.run(stop.stopping)
    return stop.exit_code


class _Reloading:
    def __init__(
        self,
        loaded: Loaded[Settings],
        options: Options,
        flags: Mapping[str, object],
        first_ready: Callable[[str], None],
    ) -> None:
        self._within_s = loaded.settings.runtime.shutdown_timeout_s
        self._first_ready = first_ready
        self._arguments = [*general_arguments(options, flags), "up", "--until-eof"]
        self._environment = dict(options.environment)
        if loaded.sources["broker.url"] == "--set":
            self._environment = without_broker(options.environment)
            self._environment[BROKER_URL] = loaded.settings.broker.url.reveal()
        folders = [Path(place) for place in (*runtime.__path__, *actors.__path__)]
        self._watch = Watch(folders, [options.config or DEFAULT_FILE])
        self._child: Child | None = None

    async def run(self, stopping: anyio.Event) -> None:
        while not stopping.is_set():
            self._child = child = Child("up", self._arguments)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(child.run, self._environment)
                tasks.start_soon(self._tell_once, child)
                changed = await self._until_changed(child, stopping)
                await child.stop(self._within_s)
                tasks.cancel_scope.cancel()
            if changed is not None:
                say(f"{changed.name} has changed: starting again", err=True)

    def kill(self) -> None:
        if self._child is not None:
            self._child.kill()

    async def _tell_once(self, child: Child) -> None:
        await child.ready.wait()
        self._first_ready(child.ready_line.split()[-1])
        self._first_ready = _nobody

    async def _until_changed(self, child: Child, stopping: anyio.Event) -> Path | None:
        """Return what has changed; None once it is to stop."""
        told = False
        while not stopping.is_set():
            with anyio.move_on_after(LOOK_S):
                await stopping.wait()
            if (changed := self._watch.changed()) is not None:
                return changed
            if child.ended.is_set() and not told and not stopping.is_set():
                told = True
                say(f"ended (exit code {child.exit_code}); waiting for a change", err=True)
        return None


class Watch:
    """Source files below ``folders``, and single ``files`` that may be there or not."""

    def __init__(self, folders: Sequence[Path], files: Sequence[Path]) -> None:
        self._folders = folders
        self._files = files
        self._known = self._look()
        self._before = self._known

    def changed(self) -> Path | None:
        """Return a file that changed, once two looks in a row have found all of them the same."""
        before, self._before = self._before, self._look()
        if self._before != before or before == self._known:
            return None
        differing = {*before.items()} ^ {*self._known.items()}
        self._known = before
        return min(path for path, _ in differing)

    def _look(self) -> Seen:
        found: Seen = {}
        below = [path for folder in self._folders for path in folder.rglob("*")]
        for path in (*below, *self._files):
            if path.suffix in SUFFIXES or path in self._files:
                try:
                    about = path.stat()
                except OSError:
                    continue  # gone since it was listed, or not there at all
                found[path] = about.st_mtime_ns, about.st_size
        return found


def _nobody(_url: str) -> None:
    return
