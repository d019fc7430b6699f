"""Things to do after so many steps of somebody: between two steps, where no timer falls.

Time stands still within an instant, and an await that takes none is between two steps all the same.
Whoever is to be struck there is struck by counting. What is done then must not end the owner: that
step is taken all the same.
"""

from collections.abc import Callable

from sim.incarnation import Incarnation


class Countdowns:
    """Those that wait, the first first."""

    def __init__(self) -> None:
        self._waiting: list[_Countdown] = []

    def add(self, owner: Incarnation, steps: int, act: Callable[[], object]) -> None:
        """Do something before that step of ``owner`` which comes after so many, if it lives."""
        self._waiting.append(_Countdown(owner, steps, act))

    def step(self, owner: Incarnation | None) -> bool:
        """Count a step of this owner, before it is taken; return whether somebody still waits."""
        due, left = [], []
        for one in self._waiting:
            if one.owner is owner:
                one.left -= 1
            if one.left < 0:
                due.append(one)
            elif one.owner.alive:
                left.append(one)
        self._waiting = left
        for one in due:
            one.act()
        return bool(self._waiting)


class _Countdown:
    __slots__ = ("act", "left", "owner")

    def __init__(self, owner: Incarnation, left: int, act: Callable[[], object]) -> None:
        self.owner = owner
        self.left = left
        self.act = act
