"""Whether, whom and when to restart: OTP's decisions as tables and one small budget.

Erlang/OTP's ``supervisor.erl`` decides in ``do_restart`` by (restart type x exit reason), has one
clause of ``restart/3`` a strategy, and counts restarts in ``add_restart``. The back-off is ours:
OTP restarts at once, which spends the whole budget before a full disk has had time to drain.
"""

import random
from collections import deque
from collections.abc import Mapping
from typing import Literal

from runtime.child import Restart, Strategy

Ending = Literal["returned", "failed", "cancelled"]
ASKED = "operator"
"""The reason of a restart that an operator asked for."""

# A child that ends without having been told to, by (restart type x ending): is it started again?
RESTARTED: Mapping[Restart, Mapping[Ending, bool]] = {
    "permanent": {"returned": True, "failed": True, "cancelled": True},
    "transient": {"returned": False, "failed": True, "cancelled": True},
    "temporary": {"returned": False, "failed": False, "cancelled": False},
}


def affected(strategy: Strategy, crashed: int, children: int) -> range:
    """Return the indices of the children that stop and start again when ``crashed`` did.

    >>> [list(affected(s, 1, 4)) for s in ("one_for_one", "rest_for_one", "one_for_all")]
    [[1], [1, 2, 3], [0, 1, 2, 3]]
    """
    first = 0 if strategy == "one_for_all" else crashed
    return range(first, crashed + 1 if strategy == "one_for_one" else children)


class RestartBudget:
    """At most ``restarts_max`` restarts within any ``window_s`` seconds, ever further apart.

    The n-th restart within the window is delayed by up to ``backoff_s_max / 2 ** (restarts_max -
    n)``, drawn evenly from 0 on: full jitter, so that services felled together do not rise in step.
    """

    def __init__(
        self, restarts_max: int, window_s: float, backoff_s_max: float, rng: random.Random
    ) -> None:
        self._restarts_max = restarts_max
        self._window_s = window_s
        self._backoff_s_max = backoff_s_max
        self._random = rng
        self._spent: deque[float] = deque()

    def spend(self, now: float) -> float | None:
        """Return the delay in seconds before the restart, or None: the budget is used up."""
        while self._spent and self._spent[0] <= now - self._window_s:
            self._spent.popleft()
        if len(self._spent) >= self._restarts_max:
            return None
        self._spent.append(now)
        halvings = self._restarts_max - len(self._spent)
        return self._random.uniform(0.0, self._backoff_s_max / 2**halvings)
