"""What a supervisor starts: a description of each child, in OTP's words, and the child's own view.

A child is one coroutine, ``run(context)``, in a task of its own. It calls ``context.started()``
once it serves (the next child starts after that), returns soon after ``context.stopping`` is set,
and raises when it cannot go on. Returning, or ending in a cancellation, without having been told
to is a crash. Starting again must be safe: the same ``run`` is called for every incarnation.
"""

from collections.abc import Awaitable, Callable
from typing import Literal

import anyio
import msgspec

from runtime.deadlines import Deadlines

Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "rest_for_one", "one_for_all"]


class ChildContext:
    """What a running child knows of its supervisor.

    ``name`` is the child's name in the tree; ``stopping`` is set when the child must end;
    ``deadlines`` is the tree's shared timer (None outside a tree).
    """

    __slots__ = ("_on_started", "deadlines", "name", "stopping")

    def __init__(
        self,
        name: str,
        on_started: Callable[[], None] | None = None,
        deadlines: Deadlines | None = None,
    ) -> None:
        self.name = name
        self.stopping = anyio.Event()
        self.deadlines = deadlines
        self._on_started = on_started

    def started(self) -> None:
        """Say that this child serves now: the next one may start. Later calls do nothing."""
        on_started, self._on_started = self._on_started, None
        if on_started is not None:
            on_started()


class ChildSpec(msgspec.Struct, frozen=True):
    """One child.

    ``restart``: *permanent* - however it ends, it is started again; *transient* - only if it
    failed (it may return when its work is done); *temporary* - never. ``shutdown_s`` is its grace:
    how long after ``stopping`` it is left alone before it is cancelled.
    """

    name: str
    run: Callable[[ChildContext], Awaitable[None]]
    restart: Restart = "permanent"
    shutdown_s: float = 5.0


class SupervisorSpec(msgspec.Struct, frozen=True):
    """A supervisor and its children, which start in this order and stop in the reverse one.

    When a child crashes, ``one_for_one`` restarts it alone, ``rest_for_one`` it and those after
    it, ``one_for_all`` all of them. After more than ``restarts_max`` restarts within
    ``restart_window_s`` the supervisor itself fails, and its own supervisor decides. The last
    permitted restart is delayed by at most ``backoff_s_max``, each one before it by half as much,
    with full jitter.

    As a child, a supervisor is permanent, and it is never cut short: its stop is bounded by the
    grace periods of its children.
    """

    name: str
    children: "tuple[ChildSpec | SupervisorSpec, ...]"
    strategy: Strategy = "one_for_one"
    restarts_max: int = 5
    restart_window_s: float = 30.0
    backoff_s_max: float = 10.0
