"""One place in a supervision tree: what a supervisor remembers of a child, and shows of it."""

import math
from collections.abc import Callable
from typing import Literal

import anyio
import msgspec

from runtime.child import ChildContext, ChildSpec, Restart, Strategy, SupervisorSpec
from runtime.restarts import Ending

State = Literal["starting", "running", "restarting", "stopped"]


class NodeStatus(msgspec.Struct, frozen=True):
    """One node of the supervision tree, as operators see it. ``strategy`` is a supervisor's.

    ``restarts`` counts since the node's own supervisor started; ``last_error`` is one line.
    """

    name: str
    kind: Literal["supervisor", "child"]
    strategy: Strategy | None
    state: State
    restarts: int
    last_error: str | None
    children: "tuple[NodeStatus, ...]" = ()


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
    """A child over all its incarnations. ``due`` is the host's time from which it may start."""

    __slots__ = ("below", "due", "last_error", "reason", "run", "served", "spec", "starts", "state")

    def __init__(self, spec: ChildSpec | SupervisorSpec) -> None:
        self.spec = spec
        self.state: State = "starting"
        self.run: Incarnation | None = None
        self.due = -math.inf
        self.starts = 0
        self.served = False
        self.reason = ""
        self.last_error: str | None = None
        self.below: Callable[[], tuple[NodeStatus, ...]] = tuple

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

    def status(self) -> NodeStatus:
        """Return this node and all below it, as of now."""
        strategy = self.spec.strategy if isinstance(self.spec, SupervisorSpec) else None
        return NodeStatus(
            name=self.name,
            kind="child" if strategy is None else "supervisor",
            strategy=strategy,
            state=self.state,
            restarts=max(0, self.starts - 1),
            last_error=self.last_error,
            children=self.below(),
        )
