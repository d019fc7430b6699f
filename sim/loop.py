"""An asyncio event loop in virtual time, whose every choice follows from a seed.

The laws:
- Time stands still while something can run; then it jumps to the next timer. Each callback costs a
  little virtual time, or code that polls by callbacks (anyio delivers a cancellation again in every
  turn) would stop the clock for ever.
- What runs next is a seeded choice among the *tasks* that can: a real loop's order is one of many
  that real machines show. Plain callbacks of one incarnation stay in order, as asyncio promises,
  and so do the steps of one task.
- Handles of a dead incarnation never run; those of a frozen one wait until it thaws.
- No thread, no socket, no file descriptor: whoever asks for one is refused, loudly.

Sources: FoundationDB's simulator (SIGMOD 2021, "Deterministic simulation"), TigerBeetle's VOPR, and
asyncio's own BaseEventLoop, of which only the parts that touch the operating system are replaced.
"""

import asyncio
import math
import random
import socket
import sys
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from heapq import heappop, heappush
from typing import Any
from weakref import ref

from sim.closing import close_from_inside
from sim.countdown import Countdowns
from sim.handles import SimHandle, SimTask
from sim.incarnation import CURRENT, Incarnation
from sim.refusals import Nowhere, refuse_tls
from sim.trace import Trace

STEP_S = 0.00005
WIDTH = 8


class Stalled(Exception):
    """Nothing can ever happen again: no callback is ready and no timer is set."""


class OutOfSteps(Exception):
    """The run took more steps than it was given: something spins."""


class OutOfTime(Exception):
    """The run took more virtual time than it was given: something waits too long, or for ever."""


class VirtualLoop(Nowhere):
    """See the module's laws. ``scheduler`` decides; ``trace`` is told.

    A run that takes more than ``steps_max`` steps ends by `OutOfSteps`, one of more than
    ``virtual_s_max`` virtual seconds by `OutOfTime`.
    ``network`` (see `sim.network`) answers ``create_connection`` and ``create_server``.
    """

    def __init__(
        self,
        scheduler: random.Random,
        trace: Trace,
        *,
        steps_max: int,
        virtual_s_max: float = math.inf,
    ) -> None:
        super().__init__()
        self.serial = 0
        self.steps = 0
        self.mishaps: list[str] = []
        self.network: Any = None
        self._bits = scheduler.getrandbits
        self._trace = trace
        self._steps_max = self._calm_until = steps_max
        self._countdowns = Countdowns()
        self._virtual_s_max = virtual_s_max
        self._now = 0.0
        self._queue: deque[SimHandle] = deque()
        self._timers: list[tuple[float, int, SimHandle]] = []
        self._timer_serial = 0
        self._tasks: list[ref[SimTask]] = []
        self._clock_resolution = 1e-9
        self.graveyard: list[object] = []
        # Of what is called most often this costs half as much as a method.
        self.create_future = partial(asyncio.Future, loop=self)  # type: ignore[method-assign]
        self.set_exception_handler(self._note_mishap)

    # -- time and tasks ---------------------------------------------------------------------------

    def time(self) -> float:
        """Virtual seconds since the start of the run."""
        return self._now

    get_debug = bool
    """Return False. Asked for each future and task that is made, so it is a built-in."""

    def create_task(  # type: ignore[override]
        self,
        coro: Coroutine[Any, Any, Any],
        *,
        name: str | None = None,
        context: Context | None = None,
    ) -> "asyncio.Task[Any]":
        """Start a task, of the incarnation whose context it is given (or that runs now)."""
        setting = copy_context() if context is None else context
        task = SimTask(coro, self, name or "task", setting)
        self._tasks.append(ref(task))
        return task

    def call_soon(  # type: ignore[override]
        self, *call: Any, context: Context | None = None
    ) -> SimHandle:
        """Run the callback, which is the first, with the others in one of the next steps."""
        if context is None:
            context = copy_context()
        acting = getattr(call[0], "__self__", None)
        line = acting if type(acting) is SimTask else context.get(CURRENT)
        handle = SimHandle(call, context, line)
        self._queue.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self, when: float, *call: Any, context: Context | None = None
    ) -> SimHandle:
        """Run the callback, which is the second, with the others at the virtual time ``when``."""
        if context is None:
            context = copy_context()
        acting = getattr(call[0], "__self__", None)
        line = acting if type(acting) is SimTask else context.get(CURRENT)
        timer = SimHandle(call, context, line, when)
        self._timer_serial = serial = self._timer_serial + 1
        heappush(self._timers, (when, serial, timer))
        return timer

    def call_later(  # type: ignore[override]
        self, delay: float, *call: Any, context: Context | None = None
    ) -> SimHandle:
        """Run the callback, which is the second, with the others after ``delay`` seconds."""
        return self.call_at(self._now + delay, *call, context=context)

    # -- running ----------------------------------------------------------------------------------

    def run_forever(self) -> None:
        """Take step after step until `stop`: asyncio's own, less what belongs to threads.

        Asynchronous generators are not kept in a set, because nobody shuts them down.
        """
        self._check_closed()  # type: ignore[attr-defined]
        self._check_running()  # type: ignore[attr-defined]
        hooks = sys.get_asyncgen_hooks()
        self._thread_id = 1  # whether there is one is all that asyncio asks
        sys.set_asyncgen_hooks(None, self._asyncgen_finalizer_hook)  # type: ignore[attr-defined]
        asyncio._set_running_loop(self)  # noqa: SLF001
        try:
            self._run()
        finally:
            self._stopping = False
            self._thread_id = None  # type: ignore[assignment]
            asyncio._set_running_loop(None)  # noqa: SLF001
            sys.set_asyncgen_hooks(*hooks)

    def _run(self) -> None:
        """Take the steps. All of a step is in this one loop, because half of a run is its steps."""
        queue, timers, ran = self._queue, self._timers, self._trace.ran
        take, pick = queue.popleft, self._pick
        now, steps = self._now, self.steps
        owner: Incarnation | None
        name: int | str
        while not self._stopping:
            while timers and (timers[0][0] <= now or not queue):
                due, _, timer = heappop(timers)
                if timer.call:
                    queue.append(timer)
                    if due > now:
                        now = self._jump(due)
            if not queue:
                raise Stalled(f"at {now:.3f} s nothing is ready and no timer is set")
            handle = take() if len(queue) == 1 else pick()
            call, line = handle.call, handle.line
            if not call:
                continue
            if type(line) is SimTask:
                owner, name = line.owner, line.serial
            else:
                owner, callback = line, call[0]
                name = getattr(callback, "__qualname__", None) or type(callback).__qualname__
            if owner is not None and owner.state != "alive":
                owner.held.append(handle)  # a frozen one's until it thaws, a dead one's for ever
                continue
            self.steps = steps = steps + 1
            if steps > self._calm_until:
                self._look(owner)
            ran(name)
            self._now = now = now + STEP_S
            try:
                handle.context.run(*call)
            except (SystemExit, KeyboardInterrupt, OutOfSteps):
                raise
            except BaseException as error:
                self._failed(call[0], error)

    def after_steps(self, owner: Incarnation, steps: int, act: Callable[[], object]) -> None:
        """Do something before that step of ``owner`` which comes after so many, if it lives."""
        self._countdowns.add(owner, steps, act)
        self._calm_until = 0

    def _look(self, owner: Incarnation | None) -> None:
        """See that there are not too many steps, and count this one for whoever waits for it."""
        if self.steps > self._steps_max:
            raise OutOfSteps(f"{self._steps_max} steps, at {self._now:.3f} s")
        if not self._countdowns.step(owner):
            self._calm_until = self._steps_max

    def _failed(self, callback: object, error: BaseException) -> None:
        # Before 3.12 asyncio's streams ask a cancelled connection's task for its exception.
        cancelled = isinstance(error, asyncio.CancelledError)
        if not (cancelled and getattr(callback, "__module__", "") == "asyncio.streams"):
            self.call_exception_handler({"message": "a callback failed", "exception": error})

    def _jump(self, due: float) -> float:
        """Let it be so late."""
        self._now = due
        if due > self._virtual_s_max:
            raise OutOfTime(f"{self._virtual_s_max:g} s of virtual time are over")
        return due

    def _pick(self) -> SimHandle:
        """Take one of the first handles: it may overtake others, but not one of its own line."""
        queue = self._queue
        at = self._bits(16) % min(len(queue), WIDTH)
        if at == 0:
            return queue.popleft()
        chosen = queue[at]
        line = chosen.line
        for earlier in range(at):
            if queue[earlier].line is line:
                at, chosen = earlier, queue[earlier]
                break
        del queue[at]
        return chosen

    # -- life and death ---------------------------------------------------------------------------

    def kill(self, victim: Incarnation) -> None:
        """Cut the power: nothing of ``victim`` runs again."""
        victim.state = "dead"
        tasks = self.tasks_of(victim)
        for task in tasks:
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
        self.graveyard.append((victim, tasks, [task.get_coro() for task in tasks]))
        for notice in victim.on_death:
            notice()

    def tasks_of(self, owner: Incarnation) -> list[SimTask]:
        """Return the tasks of an incarnation that are not done, the oldest first."""
        return [task for task in self._all() if task.owner is owner]

    def _all(self) -> list[SimTask]:
        """Return the tasks that are not done, the oldest first; what is done is forgotten."""
        left = [task for one in self._tasks if (task := one()) is not None and not task.done()]
        self._tasks = [ref(task) for task in left]
        return left

    def freeze(self, victim: Incarnation) -> None:
        """Stop it as SIGSTOP does: its timers pass, its data waits, and nothing of it runs."""
        if victim.state == "alive":
            victim.state = "frozen"

    def thaw(self, victim: Incarnation) -> None:
        """Let it go on, as SIGCONT does: everything that has become due meanwhile runs now."""
        if victim.state == "frozen":
            victim.state = "alive"
            held, victim.held = victim.held, []
            self._queue.extend(held)

    def _note_mishap(self, _loop: asyncio.AbstractEventLoop, facts: dict[str, Any]) -> None:
        owner = getattr(facts.get("task") or facts.get("future"), "owner", None)
        if owner is not None and not owner.alive:
            return  # what a process leaves behind when it ends is told to nobody
        error = facts.get("exception")
        text = f"{facts.get('message')}: {type(error).__name__ if error else ''}: {error}"
        self.mishaps.append(f"{self._now:.6f} {text}")
        self._trace.note(self._now, "mishap", type(error).__name__)

    # -- what a real loop asks the operating system for -------------------------------------------

    async def create_connection(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **given: Any
    ) -> Any:
        """Connect through the simulated network."""
        refuse_tls(given)
        return await self.network.connect(protocol_factory, host, port)

    async def create_server(
        self, protocol_factory: Any, host: Any = None, port: Any = None, **given: Any
    ) -> Any:
        """Listen on the simulated network, on ``host:port`` or on a socket stand-in's address."""
        refuse_tls(given)
        stand_in = given.get("sock")
        if stand_in is not None:
            host, port = stand_in.getsockname()
        return self.network.listen(protocol_factory, host, port)

    async def getaddrinfo(self, host: Any, port: Any, **_given: Any) -> Any:
        """Resolve a node's name to itself: nodes are their own addresses."""
        name = host.decode() if isinstance(host, bytes) else host
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port))]

    def bury(self) -> None:
        """End every coroutine that is not done; what it does about that reaches nobody any more.

        Each is closed as if its task took a step, and from the inside: a scope that is left in
        another place raises, so does who wants to wait once more, and Quart prints what a request
        raises. Tasks that are made meanwhile have their turn afterwards.
        """
        self.finish()
        asyncio._set_running_loop(self)  # noqa: SLF001
        try:
            last = 0
            while left := [one for one in self._all() if one.serial > last]:
                for task in left:
                    last = task.serial
                    task._log_destroy_pending = False  # type: ignore[attr-defined]  # noqa: SLF001
                    asyncio.tasks._enter_task(self, task)  # noqa: SLF001
                    close_from_inside(task.get_coro(), task.setting)
                    asyncio.tasks._leave_task(self, task)  # noqa: SLF001
        finally:
            asyncio._set_running_loop(None)  # noqa: SLF001
        self.graveyard.clear()
        self.finish()

    def finish(self) -> None:
        """End the run for good: nothing of anybody runs again."""
        self._queue.clear()
        self._timers.clear()
        self._closed = True
