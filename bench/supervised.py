"""Running parts of ordermill as they run in a process of it: supervised, with its own telemetry."""

from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import anyio

from actors.system import EVENTS, METRICS
from runtime.child import ChildSpec, SupervisorSpec
from runtime.host import Host, production_host
from runtime.supervisor import Supervisor
from runtime.telemetry import Telemetry

T = TypeVar("T")


class Ground:
    """A real host in ``folder``, and telemetry as ``ordermill up`` has it (log level info)."""

    def __init__(self, folder: Path) -> None:
        self.host: Host = production_host(folder)
        self.telemetry = Telemetry(
            wall=self.host.clock.wall, log_format="text", metrics=METRICS, events=EVENTS
        )

    async def supervise(
        self, children: tuple[ChildSpec | SupervisorSpec, ...], work: Callable[[], Awaitable[T]]
    ) -> T:
        """Start the children under a supervisor, do ``work``, stop them; return its result."""
        supervisor = Supervisor(SupervisorSpec("bench", children), self.host, self.telemetry)
        stopping, started = anyio.Event(), anyio.Event()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(supervisor.run, stopping, started=started.set))
            await started.wait()
            try:
                result = await work()
            finally:
                stopping.set()
        return result
