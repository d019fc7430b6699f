"""Works wait in groups; one owner carries out group after group; a group is told all at once.

While one group is under way, the next one fills: the busier the owner, the larger the groups. The
owner is never cancelled half-way, and a caller that is cancelled cancels nothing but its waiting.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar, cast

import anyio

from runtime.errors import StoreBroken
from runtime.host import Signal, give_signal, new_signal

GATHER_S = 0.005
GATHER_LEAST = 4

S = TypeVar("S")
T = TypeVar("T")


class Slot(Generic[S, T]):
    """One caller's work and, once its group is told, its answer or its failure."""

    __slots__ = ("_waiting", "answer", "failure", "told", "work")

    def __init__(self, work: Callable[[S], T]) -> None:
        self.work = work
        self.told = False
        self.answer: T | None = None
        self.failure: BaseException | None = None
        self._waiting: Signal | None = None

    def tell(self) -> None:
        """Let whoever waits go on: the answer or the failure is there."""
        self.told = True
        if self._waiting is not None:
            give_signal(self._waiting)

    async def wait(self) -> None:
        """Wait until it is told. Only one task may."""
        if not self.told:
            self._waiting = new_signal()
            await self._waiting

    async def result(self) -> T:
        """Wait until the group is told; return the answer or raise the failure, once."""
        await self.wait()
        failure = self.taken_failure()
        if failure is None:
            return cast("T", self.answer)
        try:
            raise failure
        finally:
            del failure  # it holds this frame: else only the collector would free either

    def taken_failure(self) -> BaseException | None:
        """Return the failure and keep it no longer: its traceback's frames hold us."""
        failure, self.failure = self.failure, None
        return failure


class Group(Generic[S]):
    """Works that are carried out together. ``notices`` are called once they are told.

    ``refusal`` says why nothing of the group was kept, if it was not.
    """

    __slots__ = ("notices", "refusal", "slots")

    def __init__(self) -> None:
        self.refusal = ""
        self.slots: list[Slot[S, Any]] = []
        self.notices: dict[Callable[[], None], None] = {}

    def fail(self, failure: Callable[[], BaseException]) -> None:
        """Give every slot a failure of its own."""
        for slot in self.slots:
            slot.failure = failure()


class Groups(Generic[S]):
    """The queue of groups and the loop of its owner.

    ``carry_out`` fills every slot of a group. If it raises, nobody knows what was done: all that
    wait get `StoreBroken`, and so does whoever runs `run`.
    """

    def __init__(
        self, name: str, carry_out: Callable[[Group[S]], Awaitable[None]], batch_max: int
    ) -> None:
        self.waiting = self.carried_out = self.failed = self.groups = self.largest = 0
        self._name = name
        self._carry_out = carry_out
        self._batch_max = batch_max
        self._queue: deque[Group[S]] = deque()
        self._under_way: Group[S] | None = None
        self._last = 0
        self._idle: Signal | None = None
        self._gathering: Signal | None = None
        self._gathered = False
        self._refusal: Callable[[], BaseException] | None = None

    def enqueue(self, work: Callable[[S], T]) -> Slot[S, T]:
        """Put ``work`` into the group that is filling; raises what `refuse` was given."""
        if self._refusal is not None:
            raise self._refusal()
        if not self._queue or len(self._queue[-1].slots) >= self._batch_max:
            self._queue.append(Group())
            self._wake()
        slot: Slot[S, T] = Slot(work)
        self._queue[-1].slots.append(slot)
        self.waiting += 1
        if self._gathering is not None and self.waiting >= self._last:
            give_signal(self._gathering)
        return slot

    def enqueue_batch(self, works: Sequence[Callable[[S], T]]) -> list[Slot[S, T]]:
        """Do `enqueue` for each. A batch is what others have gathered: its group begins at once."""
        slots = [self.enqueue(work) for work in works]
        self._gathered = True
        if self._gathering is not None:
            give_signal(self._gathering)
        return slots

    def refuse(self, refusal: Callable[[], BaseException]) -> None:
        """Take nothing new; what is queued is still carried out, and then `run` ends."""
        self._refusal = self._refusal or refusal
        self._gathered = True
        self._wake()

    async def run(self) -> None:
        """Carry out group after group until refusing and empty; raises `StoreBroken`.

        However it ends, nobody waits for ever: no owner comes after it, so what is queued then,
        and whoever comes later, is told so.
        """
        try:
            with anyio.CancelScope(shield=True):
                while self._queue or self._refusal is None:
                    if self._queue:
                        await self._gather()
                        await self._next(self._queue.popleft())
                    else:
                        self._idle = new_signal()
                        await self._idle
        except BaseException as error:  # a native cancellation goes through the shield
            raise self._break(error) from error

    async def _gather(self) -> None:
        """Let a busy owner's next group grow as large as the last one was, but not for long.

        A group costs its thread a wake-up and the disk a sync, whatever its size. Where works come
        one by one, nobody waits (PostgreSQL knows this as ``commit_delay``).
        """
        gathered, self._gathered = self._gathered, False
        if gathered or self._last < GATHER_LEAST or self.waiting >= self._last:
            return
        self._gathering = new_signal()
        with anyio.move_on_after(GATHER_S):
            await self._gathering
        self._gathering = None

    def _wake(self) -> None:
        for signal in (self._idle, self._gathering):
            if signal is not None:
                give_signal(signal)

    async def _next(self, group: Group[S]) -> None:
        self._under_way = group
        await self._carry_out(group)
        self._under_way = None
        self._tell(group)
        for notice in group.notices:
            notice()

    def _tell(self, group: Group[S]) -> None:
        size = len(group.slots)
        self._last = size
        self.groups += 1
        self.carried_out += size
        self.failed += sum(slot.failure is not None for slot in group.slots)
        self.largest = max(self.largest, size)
        self.waiting -= size
        for slot in group.slots:
            slot.tell()

    def _break(self, error: BaseException) -> StoreBroken:
        cause = str(error) or type(error).__name__

        def broken() -> StoreBroken:
            return StoreBroken(f"{self._name}: the outcome is unknown: {cause}")

        self._refusal = broken
        under_way = [] if self._under_way is None else [self._under_way]
        for lost in (*under_way, *self._queue):
            lost.fail(broken)
            self._tell(lost)
        self._queue.clear()
        return broken()
