"""How a command that serves is stopped: the first signal asks it to finish, the second ends it."""

import os
import signal
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

import anyio
from anyio.abc import TaskGroup, TaskStatus

from actors.commands.saying import say

INTERRUPTED = 130


class Stop:
    """Watches SIGTERM and SIGINT while it is entered.

    ``stopping`` is set by the first; the second ends the process at once, after ``at_once`` was
    called. ``exit_code`` is 0 after SIGTERM, 130 after SIGINT (Ctrl-C). With ``until_eof`` the end
    of standard input is a request to stop, too: a pipe's end tells a child that its parent is gone.
    ``requests_s`` is how long requests in work are given to end, for whoever waits for that.
    """

    def __init__(
        self,
        *,
        at_once: Callable[[], None] | None = None,
        until_eof: bool = False,
        requests_s: float | None = None,
    ) -> None:
        self.stopping = anyio.Event()
        self.exit_code = 0
        self._at_once = at_once
        self._until_eof = until_eof
        self._requests_s = requests_s
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        await self._tasks.start(self._watch)
        if self._until_eof:
            self._tasks.start_soon(self._watch_input)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool:
        assert self._tasks is not None, "not entered"
        self._tasks.cancel_scope.cancel()
        return bool(await self._tasks.__aexit__(kind, error, trace))

    async def _watch(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for received in signals:
                if self.stopping.is_set():
                    if self._at_once is not None:
                        self._at_once()
                    # At once means at once: no handler, no buffer, nothing that could hang.
                    os._exit(INTERRUPTED)
                self.exit_code = INTERRUPTED if received == signal.SIGINT else 0
                self._stop()

    async def _watch_input(self) -> None:
        await anyio.wait_readable(sys.stdin)
        while os.read(sys.stdin.fileno(), 4096):
            await anyio.wait_readable(sys.stdin)
        if not self.stopping.is_set():
            self._stop()

    def _stop(self) -> None:
        text = "stopping: finishing what is in work"
        if self._requests_s is not None:
            text += f" (requests: {self._requests_s:g} s at most; Ctrl-C again stops at once)"
        say(text, err=True)
        self.stopping.set()
