"""Child processes of a command: their output with a name in front, how they start, stop and end."""

import subprocess
import sys
from collections.abc import Mapping, Sequence

import anyio
from anyio.abc import ByteReceiveStream, Process
from anyio.streams.text import TextReceiveStream

from actors.cli import Options
from actors.commands.saying import say

_MAIN = (sys.executable, "-P", "-c", "from actors.cli import main; main()")
BROKER_URL = "ORDERMILL_BROKER_URL"
_NAME_WIDTH = 12
_GRACE_S = 5.0


class Child:
    """An ``ordermill`` command as a child process. ``exit_code`` is None while it runs.

    It is in a session of its own, so that a Ctrl-C in the terminal reaches its parent alone, which
    then stops its children in order; its standard input ends when its parent does.
    """

    def __init__(self, name: str, arguments: Sequence[str]) -> None:
        self.name = name
        self.ready = anyio.Event()
        self.ended = anyio.Event()
        self.ready_line = ""
        self.exit_code: int | None = None
        self._arguments = arguments
        self._process: Process | None = None

    async def run(self, environment: Mapping[str, str]) -> None:
        """Start it, pass on what it says, and return when it has ended."""
        try:
            async with await anyio.open_process(
                [*_MAIN, *self._arguments],
                stdin=subprocess.PIPE,
                env=environment,
                start_new_session=True,
            ) as self._process:
                assert self._process.stdout is not None, "its output is piped"
                assert self._process.stderr is not None, "its errors are piped"
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(self._pass_on, self._process.stdout, False)
                    tasks.start_soon(self._pass_on, self._process.stderr, True)
                self.exit_code = await self._process.wait()
        finally:
            self.ended.set()

    async def stop(self, within_s: float) -> None:
        """Ask it to finish; kill it if it has not within this time."""
        if self._process is None or self.ended.is_set():
            return
        self._process.terminate()
        with anyio.move_on_after(within_s + _GRACE_S):
            await self.ended.wait()
            return
        say(f"{self.name} did not stop within {within_s + _GRACE_S:g} s: killed", err=True)
        self._process.kill()
        await self.ended.wait()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and not self.ended.is_set():
            self._process.kill()

    async def _pass_on(self, stream: ByteReceiveStream, is_error: bool) -> None:
        rest = ""
        async for text in TextReceiveStream(stream, errors="replace"):
            *lines, rest = (rest + text).split("\n")
            for line in lines:
                self._say(line, is_error)
        if rest:
            self._say(rest, is_error)

    def _say(self, line: str, is_error: bool) -> None:
        say(f"{self.name:<{_NAME_WIDTH}} | {line}", err=is_error)
        if not is_error and line.startswith("ready"):
            self.ready_line = line
            self.ready.set()


def general_arguments(options: Options, flags: Mapping[str, object]) -> Sequence[str]:
    """Return our own global options as a child is to have them.

    But not the broker's URL: it goes through the environment, where no other user can read it.
    """
    given = [*options.overrides, *(f"{key}={value}" for key, value in flags.items())]
    kept = [text for text in given if text.partition("=")[0].strip() != "broker.url"]
    log_format = options.log_format or ("text" if sys.stderr.isatty() else "")
    return [
        *(["--config", str(options.config)] if options.config else []),
        *(part for text in kept for part in ("--set", text)),
        *["-v"] * options.verbosity,
        *["-q"] * -options.verbosity,
        *(["--log-format", log_format] if log_format else []),
    ]


def without_broker(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment without a broker's URL; a child is given one as `BROKER_URL`."""
    names = (BROKER_URL, f"{BROKER_URL}_FILE")
    return {name: text for name, text in environment.items() if name not in names}
