"""How a command that serves is stopped: the first signal asks it to finish, the second ends it."""

import os
import signal
from types import TracebackType
from typing import Self

import anyio
import click
from anyio.abc import TaskGroup, TaskStatus

INTERRUPTED = 130


class Stop:
    """Watches SIGTERM and SIGINT while it is entered.

    ``stopping`` is set by the first; the second ends the process at once. ``exit_code`` is 0 after
    SIGTERM, 130 after SIGINT (Ctrl-C).
    """

    def __init__(self) -> None:
        self.stopping = anyio.Event()
        self.exit_code = 0
        self._tasks: TaskGroup | None = None

    async def __aenter__(self) -> Self:
        self._tasks = anyio.create_task_group()
        await self._tasks.__aenter__()
        await self._tasks.start(self._watch)
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
                    # At once means at once: no handler, no buffer, nothing that could hang.
                    os._exit(INTERRUPTED)
                self.exit_code = INTERRUPTED if received == signal.SIGINT else 0
                click.echo("stopping: finishing what is in work", err=True)
                self.stopping.set()
