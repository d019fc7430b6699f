"""Starts children, watches them, restarts them, stops them; OTP's words with OTP's meanings.

The laws: children start in order, each once the one before it serves, and stop in reverse, one by
one, each with its own grace; a task group's mass cancellation (which runs in heap-address order) is
left to the way out of a broken process. Every ending that nobody asked for is a crash. One loop
owns all state: children's tasks only report, operators only ask, and `_supervise` acts, so that a
request to stop is heard at once, whatever it waits for.

`StoreBroken` (and Python's own ways out) is never answered with a restart: it goes straight up. So
does a `ConfigurationError` of a child that has never served, because a restart changes no setting;
of one that served before, it means that the world has changed, which is a crash like any other.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence

import anyio
from anyio.abc import TaskGroup

from runtime import log_tail
from runtime.child import ChildContext, SupervisorSpec
from runtime.deadlines import Deadlines
from runtime.endings import StrayCancellation, fatal_error, sole_error, was_meant
from runtime.errors import ConfigurationError, Rejection, RestartIntensityExceeded
from runtime.host import Host, wait_at_most
from runtime.node import Incarnation, Node, NodeStatus, State
from runtime.redaction import describe_error, where_raised
from runtime.restarts import ASKED, RESTARTED, Ending, RestartBudget, affected
from runtime.telemetry import Level, Telemetry

Body = Callable[[ChildContext], Awaitable[None]]


class ChildReturned(Exception):
    """A permanent child returned without having been told to."""


class Supervisor:
    """Runs the tree that ``spec`` describes.

    ``deadlines`` is handed down by the supervisor above; the root makes and serves its own.
    ``above`` is the path of that one in the tree, empty for the root.
    """

    def __init__(
        self,
        spec: SupervisorSpec,
        host: Host,
        telemetry: Telemetry,
        deadlines: Deadlines | None = None,
        above: str = "",
    ) -> None:
        names = [child.name for child in spec.children]
        if len(set(names)) != len(names):
            raise ValueError(f"children of {spec.name} share a name: {', '.join(names)}")
        self._spec = spec
        self._path = f"{above}/{spec.name}" if above else spec.name
        self._host = host
        self._telemetry = telemetry
        self._root = deadlines is None
        self._deadlines = deadlines or Deadlines(host.clock)
        self._budget = RestartBudget(
            spec.restarts_max, spec.restart_window_s, spec.backoff_s_max, host.random
        )
        self._children = [Node(child) for child in spec.children]
        self._exits: deque[tuple[Node, Incarnation]] = deque()
        self._asked: deque[Node] = deque()
        self._changed = anyio.Event()
        self._state: State = "starting"

    def tree(self) -> NodeStatus:
        """Return the state of this supervisor and all below it."""
        now = self._host.clock.monotonic()
        children = tuple(child.status(now) for child in self._children)
        spec = self._spec
        return NodeStatus(spec.name, "supervisor", spec.strategy, self._state, 0, None, children)

    def restart(self, path: Sequence[str]) -> None:
        """Have whoever is there stop and start again; ``path`` are names from a child's of ours on.

        Siblings go with it as the strategy says, as after a crash; but neither the back-off nor the
        restart intensity counts: they are for what nobody asked for. It is only begun here.
        Rejection not-found (404), or not-running (409) where its supervisor is not.
        """
        child = next((child for child in self._children if path and child.name == path[0]), None)
        if child is None or (len(path) > 1 and child.restart_below is None):
            raise Rejection("not-found", "Nobody has this place in the tree.", status_hint=404)
        if len(path) == 1:
            self._ask_for(child)
        elif child.run is None or child.restart_below is None:
            message = f"{child.name} is {child.state}: whoever is below starts along with it."
            raise Rejection("not-running", message, status_hint=409)
        else:
            child.restart_below(path[1:])

    def _ask_for(self, child: Node) -> None:
        if child not in self._asked:
            self._asked.append(child)
            self._changed.set()

    async def run(self, stopping: anyio.Event, *, started: Callable[[], None]) -> None:
        """Serve until ``stopping`` is set and every child has stopped.

        ``started`` is called once, when every child has started. Raises
        `RestartIntensityExceeded` or `ConfigurationError` after an orderly stop of the children,
        `StoreBroken` at once, with the children cancelled rather than stopped; and
        `StrayCancellation` where one of its own tasks was cancelled from outside.
        """
        # The task group would take that for an ordinary end, and the tree would stop in silence.
        silence = StrayCancellation(f"{self._spec.name} was cancelled from outside")
        failure: BaseException | None = silence
        try:
            async with anyio.create_task_group() as group:
                if self._root:
                    group.start_soon(self._deadlines.run)
                group.start_soon(self._pass_on, stopping)
                reason = await self._supervise(group, stopping, started)
                await self._stop(self._children)
                failure = reason
                group.cancel_scope.cancel()
        except BaseExceptionGroup as errors:
            raise fatal_error(errors) or errors from None
        finally:
            self._state = "stopped"
        if failure is not None:
            raise failure

    async def _supervise(
        self, group: TaskGroup, stopping: anyio.Event, started: Callable[[], None]
    ) -> BaseException | None:
        """Start and restart until told to stop (None) or unable to go on (the reason)."""
        while not stopping.is_set():
            self._changed = anyio.Event()
            while self._exits and not stopping.is_set():
                failure = await self._handle_exit(*self._exits.popleft())
                if failure is not None:
                    return failure
            while self._asked and not stopping.is_set():
                await self._fell(self._asked.popleft(), ASKED, 0.0)
            now = self._host.clock.monotonic()
            self._start_children(group, now)
            if self._state == "starting" and all(child.settled for child in self._children):
                self._state = "running"
                started()
            await self._wait_for_change(now)
        return None

    async def _pass_on(self, stopping: anyio.Event) -> None:
        await stopping.wait()
        self._changed.set()

    async def _wait_for_change(self, now: float) -> None:
        dues = [child.due for child in self._children if child.waiting and child.due > now]
        if dues:
            await wait_at_most(self._changed, min(dues) - now)
        else:
            await self._changed.wait()

    # Starting

    def _start_children(self, group: TaskGroup, now: float) -> None:
        """Start whom order and back-off allow.

        A child waits until those before it have settled. Only the restart of one alone
        (one_for_one) waits for nobody: its siblings never stopped.
        """
        blocked = False
        for child in self._children:
            alone = self._spec.strategy == "one_for_one" and child.starts > 0
            if child.waiting and child.due <= now and (alone or not blocked):
                self._start(child, group)
            blocked = blocked or not child.settled

    def _start(self, child: Node, group: TaskGroup) -> None:
        name = child.name
        run = Incarnation(ChildContext(name, lambda: self._on_started(child, run), self._deadlines))
        body = self._body_of(child)
        if child.starts > 0:
            self._telemetry.count("actor_restarts_total", actor=name, reason=child.reason)
            self._say(child, "actor.restarted", reason=child.reason, restarts=child.starts)
        child.run = run
        child.state = "starting"
        child.starts += 1
        group.start_soon(self._run_child, child, run, body, name=f"{self._spec.name}/{name}")

    def _on_started(self, child: Node, run: Incarnation) -> None:
        if child.run is run:
            child.state = "running"
            child.served = True
            self._changed.set()
            self._say(child, "actor.started", "debug")

    def _body_of(self, child: Node) -> Body:
        if not isinstance(child.spec, SupervisorSpec):
            return child.spec.run
        below = Supervisor(child.spec, self._host, self._telemetry, self._deadlines, self._path)
        child.below = lambda: below.tree().children
        child.restart_below = below.restart
        return lambda context: below.run(context.stopping, started=context.started)

    async def _run_child(self, child: Node, run: Incarnation, body: Body) -> None:
        try:
            with log_tail.at(self._path_of(child)), run.scope:
                await body(run.context)
        except anyio.get_cancelled_exc_class():
            if was_meant():
                raise
            run.ending = "cancelled"
            run.error = StrayCancellation(f"{child.name} was cancelled from outside")
        except BaseException as error:
            if fatal_error(error) is not None:
                raise
            run.ending = "failed"
            run.error = sole_error(error)
        finally:
            run.ended.set()
        if not run.context.stopping.is_set():
            self._exits.append((child, run))
            self._changed.set()

    # Crashing

    async def _handle_exit(self, child: Node, run: Incarnation) -> BaseException | None:
        """Act on the end of a child that was not told to end; returns what to fail with."""
        if child.run is not run:
            return None  # it was stopped along with a sibling before we came to this
        child.run = None
        child.state = "stopped"
        restarted = RESTARTED[child.restart][run.ending]
        if run.error is None and not restarted:
            self._say(child, "actor.stopped", "debug")
            return None
        error = run.error or ChildReturned(f"{child.name} returned without being told to")
        child.crashed(self._host.clock.wall(), run.ending, error)
        self._say(
            child,
            "actor.crashed",
            "warning",
            reason=run.ending,
            error=child.last_error,
            where=where_raised(error),
        )
        if isinstance(error, ConfigurationError) and not child.served:
            return error
        return await self._restart(child, run.ending, error) if restarted else None

    async def _restart(
        self, child: Node, reason: Ending, error: BaseException
    ) -> BaseException | None:
        delay = self._budget.spend(self._host.clock.monotonic())
        if delay is None:
            return self._give_up(child, error)
        await self._fell(child, reason, delay)
        return None

    async def _fell(self, child: Node, reason: str, delay_s: float) -> None:
        """Stop whom the strategy names, and have them all start again after a while."""
        index = self._children.index(child)
        felled = [
            self._children[i] for i in affected(self._spec.strategy, index, len(self._children))
        ]
        await self._stop(felled)
        due = self._host.clock.monotonic() + delay_s
        for sibling in felled:
            # OTP: a temporary child is not started again, not even for another's sake.
            if sibling is child or not (sibling.restart == "temporary" and sibling.starts):
                sibling.state = "restarting"
                sibling.due = due
                sibling.reason = reason if sibling is child else "sibling"

    def _give_up(self, child: Node, error: BaseException) -> RestartIntensityExceeded:
        spec = self._spec
        failure = RestartIntensityExceeded(
            f"{spec.name} gave up: {child.name} crashed, with more than "
            f"{spec.restarts_max} restarts in {spec.restart_window_s:g} s; "
            f"the last reason: {describe_error(error)}"
        )
        failure.__cause__ = error
        self._telemetry.event("supervisor.escalated", "error", actor=spec.name, error=failure)
        return failure

    def _say(
        self,
        child: Node,
        event: str,
        level: Level = "info",
        **fields: str | float | BaseException | None,
    ) -> None:
        """Log something about a child, in its own place."""
        with log_tail.at(self._path_of(child)):
            self._telemetry.event(event, level, actor=child.name, **fields)

    def _path_of(self, child: Node) -> str:
        return f"{self._path}/{child.name}"

    # Stopping

    async def _stop(self, children: Sequence[Node]) -> None:
        """Stop those of ``children`` that run, the last one first, one by one."""
        for child in reversed(children):
            run = child.run
            if run is not None:
                await self._stop_run(child, run)
                child.run = None
                if run.error is not None:
                    child.crashed(self._host.clock.wall(), "stopping", run.error)
                    self._say(child, "actor.stop_failed", "warning", error=run.error)
                self._say(child, "actor.stopped", "debug")
            child.state = "stopped"

    async def _stop_run(self, child: Node, run: Incarnation) -> None:
        run.context.stopping.set()
        with anyio.move_on_after(child.shutdown_s):
            await run.ended.wait()
        if not run.ended.is_set():
            self._say(child, "actor.killed", "warning", shutdown_s=child.shutdown_s)
            run.scope.cancel()
            await run.ended.wait()
