"""Bystanders: who is shown what happens on wires and disks, and does nothing about it.

The law: a bystander draws nothing at random, schedules nothing and writes nothing, so that a run is
the same, step by step, with it and without it.
"""

from collections.abc import Sequence
from typing import Any, Protocol


class Listener(Protocol):
    """Hears one end of a connection."""

    def wrote(self, data: bytes) -> None:
        """It has written; what sits on the wire has not seen it yet."""
        ...

    def got(self, data: bytes) -> None:
        """It is being given bytes."""
        ...


class Watch(Protocol):
    """Is shown the statements of one database connection that it wants, after they were applied."""

    def wants(self, sql: str) -> bool:
        """Whether executions of this statement matter."""
        ...

    def ran(
        self,
        sql: str,
        rows: Sequence[Any],
        changed: int,
        row_id: int,
        *,
        open_: bool,
        certain: bool,
    ) -> None:
        """``rows``: the parameters of each execution; ``row_id``: of an insert's last row.

        ``open_``: the transaction goes on. Not ``certain``: the power was cut at this statement.
        """
        ...


class Chronicle(Protocol):
    """Is told when a node's processes begin and end. ``number`` counts them from 1."""

    def began(self, node: str, number: int) -> None:
        """A process has been started."""
        ...

    def ended(self, node: str, number: int, reason: str, leaked: Sequence[str]) -> None:
        """A process has ended; ``leaked`` are the tasks that one left which ended by itself."""
        ...
