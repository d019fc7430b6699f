"""Dying between any two steps: ports that kill their caller, and runs that start again.

A run is a new incarnation with the same database. Nothing but what the ports have made durable is
known to the next one.
"""

from collections.abc import Awaitable, Callable
from inspect import iscoroutinefunction
from typing import Generic, TypeVar, cast

from runtime.database import Database
from runtime.host import Host
from runtime.inbox import Claim, Claimed, Duplicate, claim, settle
from runtime.jobs import Route
from runtime.message import Message
from runtime.transaction import Transaction

T = TypeVar("T")
Handler = Callable[[Message, Claim], Awaitable[None]]


class Died(BaseException):
    """The process ended here."""


class Tripwire:
    """Kills at step number ``at``; every call through a watched port has two: before and after.

    ``keywords`` are the latest keyword arguments by the method's name.
    """

    def __init__(self, at: int | None = None) -> None:
        self.steps: list[str] = []
        self.keywords: dict[str, dict[str, object]] = {}
        self._at = at

    @property
    def calls(self) -> list[str]:
        """The calls that were begun, in order."""
        return [step.removeprefix("before ") for step in self.steps if step.startswith("before ")]

    def step(self, name: str) -> None:
        """Die here if this is the step."""
        self.steps.append(name)
        if len(self.steps) - 1 == self._at:
            raise Died(name)

    def watch(self, port: T) -> T:
        """Return the port with the wire around each of its methods."""
        return cast("T", _Watched(port, self))


class _Watched(Generic[T]):
    def __init__(self, port: T, wire: Tripwire) -> None:
        self._port = port
        self._wire = wire

    def __getattr__(self, name: str) -> object:
        found = getattr(self._port, name)
        if not iscoroutinefunction(found):
            return found

        async def call(*args: object, **kwargs: object) -> object:
            self._wire.keywords[name] = kwargs
            self._wire.step(f"before {name}")
            answer = await found(*args, **kwargs)
            self._wire.step(f"after {name}")
            return answer

        return call


class Runs:
    """Delivers messages to a handler like `MessageService` does, one incarnation after another."""

    def __init__(self, database: Database, host: Host) -> None:
        self.database = database
        self.host = host

    async def deliver(
        self, message: Message, route: Handler | Route, wire: Tripwire | None = None
    ) -> bool:
        """Claim, handle, settle; return whether there was anything to do (no duplicate)."""
        incarnation = self.host.ids.new("inc")
        route = route if isinstance(route, Route) else Route(route)

        def take(tx: Transaction) -> tuple[Claimed | Duplicate, object]:
            taken = claim(tx, message, incarnation, 0)
            begins = route.begin is not None and isinstance(taken, Claimed)
            return taken, route.begin(tx, message, 0) if begins else None

        taken, begun = await self.database.write(take)
        if isinstance(taken, Duplicate):
            return False
        held = Claim(self.database, taken, self.host.clock.wall, begun)
        await route.handle(message, held if wire is None else wire.watch(held))
        await self.database.write(lambda tx: settle(tx, held.claimed, "done", 0, last=held.last))
        return True

    async def forget(self) -> None:
        """Lose the inbox, as a purge or a lost disk would."""
        await self.database.write(lambda tx: tx.connection.execute("DELETE FROM inbox"))
