"""Work split by key: one key at a time and in order, different keys concurrently.

The law: of one key, at most one item is being handled, and items are handled in the order of
`Lanes.put_nowait`; no key waits for another as long as fewer than ``lanes`` keys are busy. A key
with a backlog goes to the back of the line after each item, and may hold no more than ``key_max``
of the ``capacity``, so that one slow or flooded key stalls nobody.

What an error means is the handler's affair: one that raises crashes the whole run. The items still
queued are then dropped, as they are by `Lanes.close`: whoever filled the lanes can fill them again
(from the broker, which has no acknowledgement for them yet, or from a database).
"""

from collections import deque
from collections.abc import Awaitable, Callable
from contextvars import copy_context
from itertools import islice
from typing import Generic, TypeVar

import anyio
import msgspec

from runtime.endings import StrayCancellation, was_meant
from runtime.errors import MailboxClosed, MailboxFull

T = TypeVar("T")


class LaneStatistics(msgspec.Struct, frozen=True):
    """How the lanes are doing; ``depth`` counts waiting and running items."""

    depth: int
    capacity: int
    running: int
    keys: int
    accepted: int
    rejected: int
    closed: bool


class Lanes(Generic[T]):
    """Up to ``lanes`` keys at work at once, over at most ``capacity`` items; for one `run`.

    ``key`` maps an item to its key and is called once, in `put_nowait`. A lane is a task; it begins
    when there is a key that no other lane is free for, and stays.
    """

    def __init__(self, *, lanes: int, capacity: int, key: Callable[[T], str], key_max: int) -> None:
        if not (lanes >= 1 and 1 <= key_max <= capacity):
            raise ValueError(
                f"want lanes >= 1 and 1 <= key_max <= capacity, "
                f"got lanes={lanes}, key_max={key_max}, capacity={capacity}"
            )
        self._lanes = lanes
        self._capacity = capacity
        self._key = key
        self._key_max = key_max
        # Every key with work. The first item stays in its queue while it runs, so that the length
        # of the queue is what the key holds.
        self._queues: dict[str, deque[T]] = {}
        self._ready: deque[str] = deque()
        self._idle: deque[anyio.Event] = deque()
        self._begun: list[tuple[anyio.CancelScope, anyio.Event]] = []
        self._begin: Callable[[], None] | None = None
        self._over = anyio.Event()
        self._failure: BaseException | None = None
        self._serving = 0
        self._depth = self._running = self._accepted = self._rejected = 0
        self._closed = False

    def put_nowait(self, item: T) -> None:
        """Add ``item`` behind the others of its key.

        Raises `MailboxFull` when the capacity or the key's share of it is used up (items at work
        count), `MailboxClosed` after `close` or a crash, and whatever ``key`` raises.
        """
        key = self._key(item)
        queue = self._queues.get(key)
        if self._closed or self._depth >= self._capacity:
            raise self._refusal()
        if queue is None:
            self._queues[key] = deque((item,))
            self._make_ready(key)
        elif len(queue) >= self._key_max:
            raise self._refusal()
        else:
            queue.append(item)
        self._depth += 1
        self._accepted += 1

    async def run(self, handle: Callable[[T], Awaitable[None]]) -> None:
        """Handle items until `close`, or until a handler raises; that error is raised unchanged.

        After a crash the handlers at work are cancelled one by one, in the order of their lanes.
        """
        assert self._begin is None, "lanes run once"
        try:
            await self._run(handle)
        finally:
            self.close()  # also where it was cancelled: no lane can begin any more
        if self._failure is not None:
            raise self._failure

    async def _run(self, handle: Callable[[T], Awaitable[None]]) -> None:
        own = copy_context()  # a lane is of whoever runs the lanes, not of who puts something in
        async with anyio.create_task_group() as group:

            def begin() -> None:
                scope, end = anyio.CancelScope(), anyio.Event()
                self._begun.append((scope, end))
                self._serving += 1
                own.run(group.start_soon, self._lane, scope, end, handle)

            self._begin = begin
            for _ in range(min(len(self._ready), self._lanes)):
                begin()
            if self._closed and self._serving == 0:
                self._over.set()
            await self._over.wait()
            for scope, end in self._begun:
                scope.cancel()
                await end.wait()

    def close(self) -> None:
        """Start nothing new: items at work finish, the others are dropped, then `run` returns."""
        self._closed = True
        self._ready.clear()
        for idle in self._idle:
            idle.set()
        self._idle.clear()
        if self._serving == 0:
            self._over.set()

    def peek(self, most: int) -> list[tuple[T, bool]]:
        """Return items, and whether they are at work: those that are first, then key by key."""
        waiting = set(self._ready)
        at_work = [queue[0] for key, queue in self._queues.items() if key not in waiting]
        rest = (
            item
            for key, queue in self._queues.items()
            for item in islice(queue, 0 if key in waiting else 1, None)
        )
        return [(item, True) for item in at_work[:most]] + [
            (item, False) for item in islice(rest, max(0, most - len(at_work)))
        ]

    def statistics(self) -> LaneStatistics:
        """Return the lanes' figures of this moment."""
        return LaneStatistics(
            depth=self._depth,
            capacity=self._capacity,
            running=self._running,
            keys=len(self._queues),
            accepted=self._accepted,
            rejected=self._rejected,
            closed=self._closed,
        )

    def _refusal(self) -> MailboxClosed | MailboxFull:
        self._rejected += 1
        if self._closed:
            return MailboxClosed("the lanes are closed")
        return MailboxFull(f"the lanes are full ({self._capacity} items, {self._key_max} a key)")

    def _make_ready(self, key: str) -> None:
        self._ready.append(key)
        if self._idle:
            self._idle.popleft().set()
        elif self._begin is not None and len(self._begun) < self._lanes:
            self._begin()

    async def _lane(
        self,
        scope: anyio.CancelScope,
        end: anyio.Event,
        handle: Callable[[T], Awaitable[None]],
    ) -> None:
        try:
            with scope:
                await self._serve(handle)
        except BaseException as error:
            if isinstance(error, anyio.get_cancelled_exc_class()):
                if was_meant():
                    raise
                error = StrayCancellation("a handler was cancelled from outside")
            self._failure = self._failure or error
            self.close()
            self._over.set()
        finally:
            self._serving -= 1
            if self._serving == 0:
                self._over.set()
            end.set()

    async def _serve(self, handle: Callable[[T], Awaitable[None]]) -> None:
        while True:
            while not self._ready:
                if self._closed:
                    return
                idle = anyio.Event()
                self._idle.append(idle)
                await idle.wait()
            key = self._ready.popleft()
            queue = self._queues[key]
            self._running += 1
            try:
                await handle(queue[0])
            finally:
                self._running -= 1
                self._finish(key, queue)

    def _finish(self, key: str, queue: deque[T]) -> None:
        queue.popleft()
        self._depth -= 1
        if not queue:
            del self._queues[key]
        elif not self._closed:
            self._ready.append(key)  # this lane looks there next
