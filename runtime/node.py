"""One place in a supervision tree: what a supervisor remembers of a child, and shows of it."""

import math
from collections import deque
from collections.abc import Callable, Sequence
from typing import Literal

import anyio
import msgspec

from runtime.child import ChildContext, ChildSpec, Restart, Strategy, SupervisorSpec
from runtime.redaction import describe_error, frames_of
from runtime.restarts import Ending

CRASHES_KEPT = 10

State = Literal["starting", "running", "restarting", "stopped"]


class Crash(msgspec.Struct, frozen=True):
    """How one incarnation ended: when (Unix time), in which way, with what, and where.

    ``frames`` lead to where the error was raised, outermost first: file, line and function, and
    nothing of what they worked on.
    """

    at_ms: int
    ending: str
    error: str
    frames: tuple[str, ...] = ()


class NodeStatus(msgspec.Struct, frozen=True):
    """One node of the supervision tree, as operators see it. ``strategy`` is a supervisor's.

    ``restarts`` counts since the node's own supervisor started; ``last_error`` is one line,
    ``crashes`` are the latest `CRASHES_KEPT`, newest first. ``restarts_in_s`` is how long the
    back-off still holds up one that is to start again.
    """

    name: str
    kind: Literal["supervisor", "child"]
    strategy: Strategy | None
    state: State
    restarts: int
    last_error: str | None
    children: "tuple[NodeStatus, ...]" = ()
    crashes: tuple[Crash, ...] = ()
    restarts_in_s: float | None = None


def standing(root: NodeStatus) -> str:
    """Return ``ok``, or who of this tree is to start again, and when, or has given up.

    One that has ended as it was meant to (a temporary child) is well.
    """
    if root.state == "restarting":
        soon = "" if root.restarts_in_s is None else f" in {root.restarts_in_s:.1f} s"
        return f"{root.name} is restarting{soon}"
    if root.state == "stopped" and root.last_error is not None:
        return f"{root.name} is stopped"
    return next((said for child in root.children if (said := standing(child)) != "ok"), "ok")


class Incarnation:
    """One run of a child, from its start to its end. The child's task reports here."""

    __slots__ = ("context", "ended", "ending", "error", "scope")

    def __init__(self, context: ChildContext) -> None:
        self.context = context
        self.scope = anyio.CancelScope()
        self.ended = anyio.Event()
        self.ending: Ending = "returned"
        self.error: BaseException | None = None


class Node:
    """A child over all its incarnations. ``due`` is the host's time from which it may start.

    ``below`` and ``restart_below`` lead to the children of one that is a supervisor.
    """

    __slots__ = (
        *("below", "crashes", "due", "reason", "restart_below", "run", "served", "spec"),
        *("starts", "state"),
    )

    def __init__(self, spec: ChildSpec | SupervisorSpec) -> None:
        self.spec = spec
        self.state: State = "starting"
        self.run: Incarnation | None = None
        self.due = -math.inf
        self.starts = 0
        self.served = False
        self.reason = ""
        self.crashes: deque[Crash] = deque(maxlen=CRASHES_KEPT)
        self.below: Callable[[], tuple[NodeStatus, ...]] = tuple
        self.restart_below: Callable[[Sequence[str]], None] | None = None

    @property
    def name(self) -> str:
        """The child's name."""
        return self.spec.name

    @property
    def restart(self) -> Restart:
        """When it is started again; a supervisor always is."""
        return self.spec.restart if isinstance(self.spec, ChildSpec) else "permanent"

    @property
    def shutdown_s(self) -> float:
        """Its grace; a supervisor's stop is bounded by the grace of its children."""
        return self.spec.shutdown_s if isinstance(self.spec, ChildSpec) else math.inf

    @property
    def waiting(self) -> bool:
        """Whether it is to start as soon as order and back-off allow."""
        return self.run is None and self.state != "stopped"

    @property
    def settled(self) -> bool:
        """Whether the next child may start: this one serves, or has ended for good."""
        return self.state in ("running", "stopped")

    @property
    def last_error(self) -> str | None:
        """What the latest crash was, in one line."""
        return self.crashes[0].error if self.crashes else None

    def crashed(self, at_s: float, ending: str, error: BaseException) -> None:
        """Keep how an incarnation ended."""
        frames = frames_of(error)
        self.crashes.appendleft(Crash(int(at_s * 1000), ending, describe_error(error), frames))

    def status(self, now: float) -> NodeStatus:
        """Return this node and all below it, as of now (the host's time)."""
        held_up_s = self.due - now if self.state == "restarting" else 0.0
        strategy = self.spec.strategy if isinstance(self.spec, SupervisorSpec) else None
        return NodeStatus(
            name=self.name,
            kind="child" if strategy is None else "supervisor",
            strategy=strategy,
            state=self.state,
            restarts=max(0, self.starts - 1),
            last_error=self.last_error,
            children=self.below(),
            crashes=tuple(self.crashes),
            restarts_in_s=round(held_up_s, 2) if held_up_s > 0 else None,
        )
