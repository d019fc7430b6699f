"""``ordermill serve all --split``: every service as a child process, for development.

Nobody is restarted: a child that ends stops the rest, and its name is what the command ends with.
Children stop in the reverse of the order in which they started, the gateway first.
"""

from collections.abc import Mapping
from pathlib import Path

import anyio
from anyio.abc import TaskGroup

from actors.cli import Options
from actors.commands.children import BROKER_URL, Child, general_arguments, without_broker
from actors.commands.saying import say
from actors.commands.stopping import Stop
from actors.credentials import load_credentials
from actors.messaging import ACCOUNT, EMBEDDED, LOOPBACK, embedded_url
from actors.neighbours import neighbour_url
from actors.services import SERVICES
from actors.settings import Settings
from runtime.host import Host, production_host

BROKER = "broker"


async def serve_split(settings: Settings, options: Options, flags: Mapping[str, object]) -> int:
    """Run every service as a child until a signal, or until one of them ends; the exit code."""
    neighbour_url("order_events", settings.order_events)
    neighbour_url("shipping", settings.shipping)
    host = production_host(Path(settings.data_dir))
    split = _Split(settings, options, flags, host)
    async with Stop(at_once=split.kill) as stop:
        await split.run(stop)
    return split.exit_code or stop.exit_code


class _Split:
    def __init__(
        self, settings: Settings, options: Options, flags: Mapping[str, object], host: Host
    ) -> None:
        self._settings = settings
        self._host = host
        self._children: list[Child] = []
        self._over = anyio.Event()
        self.exit_code = 0
        self._general = general_arguments(options, flags)
        self._environment = without_broker(options.environment)

    async def run(self, stop: Stop) -> None:
        began = self._host.clock.monotonic()
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._heed, stop.stopping)
            self._environment[BROKER_URL] = await self._broker(tasks)
            for name in () if self._over.is_set() else SERVICES:
                self._start(tasks, Child(name, [*self._general, "serve", "--until-eof", name]))
            for child in self._children:
                await self._unless_over(child.ready)
            if not self._over.is_set():
                seconds = self._host.clock.monotonic() - began
                place = self._children[-1].ready_line.split()[-1]
                say(f"ready in {seconds:.2f}s  {len(self._children)} processes  {place}")
            await self._over.wait()
            for child in self._children:
                if child.ended.is_set():
                    self._failed(child)
            for child in reversed(self._children):
                await child.stop(self._settings.runtime.shutdown_timeout_s)
            tasks.cancel_scope.cancel()

    def _failed(self, child: Child) -> None:
        # Killed by a signal, its code is negative; ended in good order, it is 0: neither is one.
        self.exit_code = max(child.exit_code or 1, 1)
        message = f"{child.name} ended by itself (exit code {child.exit_code}): stopping the others"
        say(f"error: {message}", err=True)

    def kill(self) -> None:
        for child in self._children:
            child.kill()

    async def _broker(self, tasks: TaskGroup) -> str:
        """Return the URL of the broker that all share; where it is our own, start it first."""
        configured = self._settings.broker.url.reveal()
        if configured != EMBEDDED:
            return configured
        credentials = await load_credentials(self._settings, self._host)
        data_dir = self._settings.data_dir
        password_file = str(Path(data_dir) / "secrets" / "broker-password")
        account = ["--user", ACCOUNT, "--password-file", password_file]
        place = ["--bind", LOOPBACK, "--port", "0", "--data-dir", data_dir]
        broker = Child(BROKER, [*self._general, BROKER, "--until-eof", *place, *account])
        self._start(tasks, broker)
        await self._unless_over(broker.ready)
        port = broker.ready_line.rpartition(":")[2].strip("/")
        return embedded_url(credentials, int(port or 0))

    def _start(self, tasks: TaskGroup, child: Child) -> None:
        self._children.append(child)
        tasks.start_soon(child.run, dict(self._environment))
        tasks.start_soon(self._heed, child.ended)

    async def _heed(self, event: anyio.Event) -> None:
        await event.wait()
        self._over.set()

    async def _unless_over(self, event: anyio.Event) -> None:
        """Wait for the event, but not when everything is to stop."""
        async with anyio.create_task_group() as either:
            for awaited in (event, self._over):
                either.start_soon(_first, awaited, either.cancel_scope)


async def _first(event: anyio.Event, others: anyio.CancelScope) -> None:
    await event.wait()
    others.cancel()
