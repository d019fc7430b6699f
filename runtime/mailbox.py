"""A bounded mailbox: first in, first out, from any task to the task that owns it.

The law: an item lives in the mailbox until a receiver takes it in one synchronous step. A receiver
that is cancelled while it waits, by an anyio scope or natively, therefore cannot lose one, and a
sender that is cancelled while it waits has sent nothing. (anyio's memory streams hand the item over
while the receiver still sleeps, so a native cancellation loses it: anyio issues 146 and 728.)

Nothing here yields when it need not: `put_nowait` is a bounds check and an append, and `receive`
returns at once when something is there. Who loops over a mailbox yields between its batches.
"""

from collections import deque
from collections.abc import Iterable
from itertools import islice
from typing import Generic, TypeVar

import msgspec

from runtime.errors import MailboxClosed, MailboxFull
from runtime.host import Signal, give_signal, new_signal

T = TypeVar("T")


class MailboxStatistics(msgspec.Struct, frozen=True):
    """How a mailbox is doing. ``received`` and ``rejected`` count since the mailbox was made."""

    depth: int
    capacity: int
    received: int
    rejected: int
    waiting: int
    closed: bool


class Mailbox(Generic[T]):
    """A queue of at most ``capacity`` items.

    ``_room`` is what `put_nowait` may still take: the capacity less the items in the queue, less
    the places granted to senders that were woken but have not run yet. It is 0 once closed.
    """

    __slots__ = ("_capacity", "_closed", "_items", "_received", "_receivers", "_rejected", "_room",
                 "_senders")  # fmt: skip

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise ValueError(f"a mailbox needs room for at least one item, not {capacity}")
        self._capacity = capacity
        self._room = capacity
        self._items: deque[T] = deque()
        self._receivers: deque[Signal] = deque()
        self._senders: deque[Signal] = deque()
        self._closed = False
        self._received = 0
        self._rejected = 0

    def __len__(self) -> int:
        return len(self._items)

    def put_nowait(self, item: T) -> None:
        """Add ``item``; raises `MailboxFull` or `MailboxClosed`."""
        if self._room <= 0:
            raise self._refusal()
        self._room -= 1
        self._items.append(item)
        if self._receivers:
            self._wake_receiver()

    async def put(self, item: T) -> None:
        """Add ``item``, waiting for room behind those who wait already; raises `MailboxClosed`."""
        if self._room > 0 or self._closed:
            self.put_nowait(item)
            return
        granted = new_signal()
        self._senders.append(granted)
        try:
            await granted
        except BaseException:
            self._withdraw(granted)
            raise
        if self._closed:
            raise self._refusal()
        self._accept(item)

    async def receive(self) -> T:
        """Take the oldest item; raises `MailboxClosed` once the mailbox is closed and empty."""
        if not self._items:
            await self._wait_for_item()
        item = self._items.popleft()
        self._received += 1
        self._free(1)
        return item

    async def receive_batch(self, batch_max: int) -> list[T]:
        """Wait for one item, then take what is there, oldest first, up to ``batch_max``."""
        if not self._items:
            await self._wait_for_item()
        items = self._items
        if len(items) <= batch_max:
            batch = list(items)
            items.clear()
        else:
            batch = [items.popleft() for _ in range(batch_max)]
        self._received += len(batch)
        self._free(len(batch))
        return batch

    def put_back(self, items: Iterable[T]) -> None:
        """Return items that were received and not worked on; they are the oldest again.

        For a receiver that dies with part of a batch undone. The mailbox may stand above its
        capacity for a while; it takes nothing new until it is below.
        """
        returned = list(items)
        self._items.extendleft(reversed(returned))
        self._received -= len(returned)
        if not self._closed:
            self._room -= len(returned)
        for _ in returned:
            self._wake_receiver()

    def peek(self, most: int) -> list[T]:
        """Return the oldest items, which stay where they are."""
        return list(islice(self._items, most))

    def close(self) -> None:
        """Take nothing new; what is there can still be received. Closing twice is fine."""
        self._closed = True
        self._room = 0
        for waiting in (*self._receivers, *self._senders):
            give_signal(waiting)
        self._receivers.clear()
        self._senders.clear()

    def statistics(self) -> MailboxStatistics:
        """Return the mailbox's figures of this moment."""
        return MailboxStatistics(
            depth=len(self._items),
            capacity=self._capacity,
            received=self._received,
            rejected=self._rejected,
            waiting=len(self._receivers),
            closed=self._closed,
        )

    def _refusal(self) -> MailboxClosed | MailboxFull:
        self._rejected += 1
        if self._closed:
            return MailboxClosed("the mailbox is closed")
        return MailboxFull(f"the mailbox is full ({self._capacity} items)")

    def _accept(self, item: T) -> None:
        self._items.append(item)
        self._wake_receiver()

    def _wake_receiver(self) -> None:
        while self._receivers and not give_signal(self._receivers.popleft()):
            pass

    def _free(self, places: int) -> None:
        if self._closed:
            return
        self._room += places
        while self._senders and self._room > 0:
            if give_signal(self._senders.popleft()):
                self._room -= 1

    def _withdraw(self, granted: Signal) -> None:
        """Leave the queue of senders; a place already granted goes back."""
        if granted in self._senders:
            self._senders.remove(granted)
        elif not granted.cancelled():
            self._free(1)

    async def _wait_for_item(self) -> None:
        while not self._items:
            if self._closed:
                raise MailboxClosed("the mailbox is closed and empty")
            arrived = new_signal()
            self._receivers.append(arrived)
            try:
                await arrived
            except BaseException:
                self._pass_on(arrived)
                raise

    def _pass_on(self, arrived: Signal) -> None:
        """Leave the queue of receivers; a wake-up already received goes to the next one."""
        if arrived in self._receivers:
            self._receivers.remove(arrived)
        elif self._items and not arrived.cancelled():
            self._wake_receiver()
