"""What an operator wants done, one thing at a time, in a task that belongs to the service.

    HTTP handler --ask--> [ errand ] --> audit: started --> work --> audit: how it ended --> answer

A handler dies with its client's connection; the errand does not. Nothing that changes anything runs
without its row in the audit, and what was only looked at leaves none.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar, cast

import msgspec

from runtime.actor import Actor, ActorRef, actor_child
from runtime.audit import STARTED, AuditEntry, Deed, entries, note
from runtime.child import ChildSpec
from runtime.database import Database
from runtime.errors import Rejection
from runtime.host import Clock

WAITING_MAX = 32
ANSWER_S_MAX = 60.0

T = TypeVar("T")


class Done(msgspec.Struct, frozen=True):
    """``answer`` goes to the operator, ``outcome`` into the audit."""

    answer: object
    outcome: str


class Errand(msgspec.Struct, frozen=True):
    """``deed`` is None where nothing is changed."""

    work: Callable[[], Awaitable[object]]
    deed: Deed | None = None


class Errands:
    """The desk of one service; ``database`` is the service's own, with `runtime.audit.SCHEMA`."""

    def __init__(self, name: str, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._ref: ActorRef[Errand] = ActorRef(f"operator-{name}", WAITING_MAX)

    def child(self) -> ChildSpec:
        """Return what the supervisor needs to keep the desk staffed."""
        clerk = _Clerk(self._database, self._clock)
        return actor_child(self._ref.name, lambda: clerk, self._ref, batch_max=1)

    async def look(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work``, which changes nothing, when it is its turn."""
        return cast("T", await self._ref.ask(Errand(work), ANSWER_S_MAX))

    async def carry_out(self, deed: Deed, work: Callable[[], Awaitable[Done]]) -> object:
        """Run ``work`` between two rows of the audit; return its answer.

        `DeadlineExceeded` after a minute: it goes on, and the audit will say how it ended.
        """
        return await self._ref.ask(Errand(work, deed), ANSWER_S_MAX)

    async def note(self, deed: Deed, outcome: str) -> None:
        """Add a row for what was done elsewhere."""
        at_ms = int(self._clock.wall() * 1000)
        await self._database.write(lambda tx: note(tx, deed, outcome, at_ms))

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return what was done lately, newest first."""
        return await self._database.read(lambda connection: entries(connection, limit))


class _Clerk(Actor[Errand]):
    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def receive(self, message: Errand) -> object:
        if message.deed is None:
            return await message.work()
        await self._note(message.deed, STARTED)
        try:
            done = await message.work()
        except Rejection as refusal:
            await self._note(message.deed, f"refused: {refusal.code}")
            raise
        except Exception as error:
            await self._note(message.deed, f"failed: {type(error).__name__}")
            raise
        assert isinstance(done, Done), "a deed says how it ended"
        await self._note(message.deed, done.outcome)
        return done.answer

    async def _note(self, deed: Deed, outcome: str) -> None:
        at_ms = int(self._clock.wall() * 1000)
        await self._database.write(lambda tx: note(tx, deed, outcome, at_ms))
