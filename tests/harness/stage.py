"""A supervision tree whose children do as they are told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import anyio
from anyio.lowlevel import checkpoint

from runtime.child import ChildContext, ChildSpec, Restart, Strategy, SupervisorSpec
from runtime.endings import sole_error
from runtime.host import Host
from runtime.node import NodeStatus
from runtime.supervisor import Supervisor
from runtime.telemetry import Telemetry, quiet_telemetry


class Stage:
    """Children that do as they are told, and a log of what they did."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.telemetry: Telemetry = quiet_telemetry()
        self.log: list[str] = []
        self.was_started = False
        self._orders: dict[str, anyio.Event] = {}
        self._endings: dict[str, BaseException | None] = {}

    def child(
        self,
        name: str,
        restart: Restart = "permanent",
        *,
        shutdown_s: float = 5.0,
        starts: Callable[[ChildContext], Awaitable[None]] | None = None,
        stops: Callable[[], Awaitable[None]] | None = None,
    ) -> ChildSpec:
        """A child that serves until told to stop or ordered to end (`end`)."""

        async def run(context: ChildContext) -> None:
            self.log.append(f"+{name}")
            order = self._orders[name] = anyio.Event()
            try:
                if starts is not None:
                    await starts(context)
                context.started()
                await self._until(context.stopping, order)
                if not context.stopping.is_set():
                    ending = self._endings[name]
                    if ending is not None:
                        raise ending
                elif stops is not None:
                    await stops()
            finally:
                self.log.append(f"-{name}")

        return ChildSpec(name, run, restart, shutdown_s)

    @staticmethod
    async def _until(*events: anyio.Event) -> None:
        async with anyio.create_task_group() as group:

            async def wait(event: anyio.Event) -> None:
                await event.wait()
                group.cancel_scope.cancel()

            for event in events:
                group.start_soon(wait, event)

    def end(self, name: str, ending: BaseException | None) -> None:
        """Make the child raise ``ending``, or return where it is None."""
        self._endings[name] = ending
        self._orders[name].set()

    async def crash(self, name: str, ending: BaseException | None = None) -> None:
        self.end(name, ending or ValueError(f"{name} planted"))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(40):
            await checkpoint()

    def take(self) -> str:
        taken, self.log[:] = " ".join(self.log), []
        return taken

    @asynccontextmanager
    async def running(
        self,
        *children: ChildSpec | SupervisorSpec,
        strategy: Strategy = "one_for_one",
        restarts_max: int = 5,
        backoff_s_max: float = 0.0,
    ) -> AsyncIterator[Supervisor]:
        spec = SupervisorSpec(
            "root", children, strategy, restarts_max=restarts_max, backoff_s_max=backoff_s_max
        )
        supervisor = Supervisor(spec, self.host, self.telemetry)
        stopping, started = anyio.Event(), anyio.Event()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: supervisor.run(stopping, started=started.set))
                await self.settle()
                self.was_started = started.is_set()
                yield supervisor
                stopping.set()


async def failure_of(act: Callable[[], Awaitable[None]]) -> BaseException:
    """Return the one error that ``act`` ends with."""
    try:
        await act()
    except BaseExceptionGroup as errors:
        return sole_error(errors)
    raise AssertionError("nothing failed")


def states(node: NodeStatus) -> str:
    return " ".join(f"{child.name}:{child.state}" for child in node.children)
