"""What an operator wants done, one thing at a time, in a task that belongs to the service.

    HTTP handler --ask--> [ errand ] --> audit: started --> work --> audit: how it ended --> answer

A handler dies with its client's connection; the errand does not. Nothing that changes anything runs
without its row in the audit, and what was only looked at leaves none.

What takes long is begun, not waited for: it goes step by step, with the other errands in between,
can be looked at meanwhile, and stopped. It does not outlive the process; its row in the audit does.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Literal

import msgspec

from runtime.actor import Actor, ActorRef, actor_child
from runtime.audit import STARTED, AuditEntry, Deed, entries, note
from runtime.child import ChildSpec
from runtime.database import Database
from runtime.errors import MailboxFull, Rejection
from runtime.host import Clock

WAITING_MAX = 32
ANSWER_S_MAX = 60.0


class Done(msgspec.Struct, frozen=True):
    """``answer`` goes to the operator, ``outcome`` into the audit."""

    answer: object
    outcome: str


class Errand(msgspec.Struct, frozen=True):
    """``deed`` is None where nothing is changed."""

    work: Callable[[], Awaitable[object]]
    deed: Deed | None = None


Step = Callable[[], Awaitable[int]]
"""One step of a long work; returns how many it dealt with."""


class Progress(msgspec.Struct, frozen=True):
    """How far a long work is: ``done`` of ``total``, which it is part of the way through.

    ``stopping``: it ends after the step that it is at. ``ended_ms`` (Unix time) is None until then,
    ``outcome`` empty.
    """

    action: str
    target: str
    total: int
    done: int
    state: Literal["running", "stopping", "done", "stopped", "failed"]
    began_ms: int
    ended_ms: int | None = None
    outcome: str = ""

    @property
    def over(self) -> bool:
        """Whether it has ended, one way or another."""
        return self.ended_ms is not None


class _Long:
    def __init__(self, deed: Deed, steps: Sequence[Step], progress: Progress) -> None:
        self.deed = deed
        self.steps = list(steps)
        self.progress = progress
        self.begun = False

    def now(self, **changes: object) -> Progress:
        self.progress = msgspec.structs.replace(self.progress, **changes)
        return self.progress


class Errands:
    """The desk of one service; ``database`` is the service's own, with `runtime.audit.SCHEMA`."""

    def __init__(self, name: str, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self.ref: ActorRef[Errand] = ActorRef(f"operator-{name}", WAITING_MAX)
        self._long: _Long | None = None

    def child(self) -> ChildSpec:
        """Return what the supervisor needs to keep the desk staffed."""
        clerk = _Clerk(self._database, self._clock)
        return actor_child(self.ref.name, lambda: clerk, self.ref, batch_max=1)

    def tell(self, look: Callable[[], Awaitable[None]]) -> None:
        """Run ``look``, which changes nothing, when it is its turn; `MailboxFull`."""
        self.ref.tell(Errand(look))

    async def carry_out(self, deed: Deed, work: Callable[[], Awaitable[Done]]) -> object:
        """Run ``work`` between two rows of the audit; return its answer.

        `DeadlineExceeded` after a minute: it goes on, and the audit will say how it ended.
        """
        return await self.ref.ask(Errand(work, deed), ANSWER_S_MAX)

    def begin(self, deed: Deed, steps: Sequence[Step], total: int) -> Progress:
        """Begin what takes long; Rejection busy (409) while something else does.

        The first step that fails ends it: what it did is done, the rest is as it was.
        """
        if self._long is not None and not self._long.progress.over:
            message = "Something else is being done: wait for its end, or stop it."
            raise Rejection("busy", message, status_hint=409)
        began_ms = int(self._clock.wall() * 1000)
        progress = Progress(deed.action, deed.target, total, 0, "running", began_ms)
        long = _Long(deed, steps, progress)
        self.ref.tell(Errand(partial(self._go_on, long)))
        self._long = long
        return progress

    def progress(self) -> Progress | None:
        """Return how far the latest long work is; None where none was begun."""
        return None if self._long is None else self._long.progress

    def stop(self) -> Progress | None:
        """Have the long work end after the step that it is at; return how far it is."""
        long = self._long
        if long is not None and not long.progress.over:
            long.now(state="stopping")
        return self.progress()

    async def _go_on(self, long: _Long) -> None:
        """Take steps, in line with the other errands, and say how it ended."""
        try:
            if await self._take_steps(long):
                return
        except BaseException as error:  # cancelled, too: nobody else would go on with it
            self._end(long, "failed", f"failed: {type(error).__name__}")
            if isinstance(error, Exception):
                await self.note(long.deed, long.progress.outcome)
            raise
        ended: Literal["done", "stopped"] = "stopped" if long.steps else "done"
        self._end(long, ended, ended)
        await self.note(long.deed, long.progress.outcome)

    async def _take_steps(self, long: _Long) -> bool:
        """Return whether it is in line again: else it has nothing left to do, or was stopped."""
        if not long.begun:
            await self.note(long.deed, STARTED)
            long.begun = True
        while long.steps and long.progress.state == "running":
            long.now(done=long.progress.done + await long.steps.pop(0)())
            if long.steps and self.ref.statistics().depth:
                with suppress(MailboxFull):
                    self.ref.tell(Errand(partial(self._go_on, long)))
                    return True
        return False

    def _end(self, long: _Long, state: Literal["done", "stopped", "failed"], word: str) -> None:
        outcome = f"{word} after {long.progress.done} of {long.progress.total}"
        long.now(state=state, ended_ms=int(self._clock.wall() * 1000), outcome=outcome)

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
