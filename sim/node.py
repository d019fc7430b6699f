"""A node: one machine that runs one process, and starts it again when it has ended.

The law: a process is one `Incarnation` after another on the same disk. However it ends - by itself,
killed, or with the power cut - nothing of it runs afterwards, and init starts the next one after
`restart_s`, until told not to.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextvars import Context

from runtime.endings import fatal_error, sole_error
from runtime.host import Host
from sim.bystander import Chronicle
from sim.disk import Storage
from sim.engine import Engine
from sim.host import NodeClock, simulated_host
from sim.incarnation import Incarnation


class Node:
    """``boot`` is the process: it is called with a host, in the incarnation's own context."""

    def __init__(
        self, engine: Engine, name: str, boot: Callable[["Node", Host], Awaitable[None]]
    ) -> None:
        self.engine = engine
        self.name = name
        self.clock = NodeClock(engine.loop)
        self.storage = Storage(
            engine.root, name, engine.seed.stream("disk", name), engine.loop, engine.trace
        )
        self.storage.die = lambda cut: self.kill() if cut.told else self.cut_power()
        self.restart_s = 0.5
        self.stays_down = False
        self.incarnation: Incarnation | None = None
        self.ended: list[str] = []
        self.on_start: list[Callable[[], None]] = []
        self.chronicle: Chronicle | None = None
        self._boot = boot
        self._starts = 0

    @property
    def up(self) -> bool:
        """Whether a process of this node lives, frozen or not."""
        return self.incarnation is not None

    def start(self) -> None:
        """Start the process, unless it runs."""
        if self.incarnation is not None:
            return
        self._starts += 1
        owner = self.incarnation = Incarnation(self.name, self._starts)
        self.engine.note("start", self.name, self._starts)
        if self.chronicle is not None:
            self.chronicle.began(self.name, self._starts)
        disk = self.storage.mount(owner)
        rng = self._entropy()
        host = simulated_host(self.clock, rng, disk)
        self.engine.network.without_power.discard(self.name)
        task = owner.spawn(self._run(host))
        task.add_done_callback(lambda done: self._exited(owner, done))
        for notice in list(self.on_start):
            notice()

    def kill(self, reason: str = "killed") -> None:
        """SIGKILL: what it wrote stays written, and its kernel closes its connections."""
        self._end(reason, told=True)

    def cut_power(self) -> None:
        """No kernel is left to say anything: peers find out when the node is back, or never."""
        self._end("power cut", told=False)

    def freeze(self) -> None:
        """SIGSTOP."""
        if self.incarnation is not None:
            self.engine.note("freeze", self.name)
            self.engine.loop.freeze(self.incarnation)

    def thaw(self) -> None:
        """SIGCONT."""
        if self.incarnation is not None:
            self.engine.note("thaw", self.name)
            self.engine.loop.thaw(self.incarnation)

    def _entropy(self) -> random.Random:
        return self.engine.seed.stream("ids", self.name, self._starts)

    async def _run(self, host: Host) -> None:
        await self._boot(self, host)

    def _exited(self, owner: Incarnation, task: "asyncio.Task[None]") -> None:
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        if self.incarnation is owner:
            self._end("exited" if error is None else f"exited: {_name(error)}", told=True)

    def _end(self, reason: str, *, told: bool) -> None:
        owner, self.incarnation = self.incarnation, None
        if owner is None:
            return
        self.engine.note("end", self.name, owner.number, reason)
        self.ended.append(reason)
        if self.chronicle is not None:
            by_itself = reason.startswith("exited")
            left = self.engine.loop.tasks_of(owner) if by_itself else []
            leaked = [_described(task) for task in left]
            self.chronicle.ended(self.name, owner.number, reason, leaked)
        self.engine.loop.kill(owner)
        self.engine.network.died(owner, told=told)
        if not self.stays_down:
            # In nobody's context: a power cut is noticed in that of the victim, and dies with it.
            self.engine.loop.call_later(self.restart_s, self._restart, context=Context())

    def _restart(self) -> None:
        if not self.stays_down:
            self.start()


def _described(task: "asyncio.Task[None]") -> str:
    work = task.get_coro()
    return f"{task.get_name()} ({getattr(work, '__qualname__', type(work).__name__)})"


def _name(error: BaseException) -> str:
    """Name what a process ended with, as the command would: a group is what is in it."""
    return type(fatal_error(error) or sole_error(error)).__name__
