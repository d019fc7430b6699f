import asyncio
from collections.abc import Awaitable, Callable

import anyio
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.errors import MailboxClosed, MailboxFull
from runtime.mailbox import Mailbox


async def settle(turns: int = 5) -> None:
    """Let every task that can run do so."""
    for _ in range(turns):
        await checkpoint()


def filled(capacity: int, *items: int) -> Mailbox[int]:
    mailbox: Mailbox[int] = Mailbox(capacity)
    for item in items:
        mailbox.put_nowait(item)
    return mailbox


async def test_items_come_out_in_the_order_they_went_in() -> None:
    mailbox = filled(3, 1, 2, 3)
    assert [await mailbox.receive() for _ in range(3)] == [1, 2, 3]


async def test_a_batch_takes_what_is_there_up_to_its_limit() -> None:
    mailbox = filled(9, *range(5))
    assert await mailbox.receive_batch(2) == [0, 1]
    assert await mailbox.receive_batch(9) == [2, 3, 4]


async def test_a_full_mailbox_refuses_and_counts_it() -> None:
    mailbox = filled(2, 1, 2)
    with pytest.raises(MailboxFull, match="2 items"):
        mailbox.put_nowait(3)
    assert mailbox.statistics().rejected == 1
    await mailbox.receive()
    mailbox.put_nowait(3)
    assert len(mailbox) == 2


async def test_a_closed_mailbox_gives_what_it_holds_and_takes_nothing() -> None:
    mailbox = filled(3, 1, 2)
    mailbox.close()
    mailbox.close()
    with pytest.raises(MailboxClosed):
        mailbox.put_nowait(3)
    with pytest.raises(MailboxClosed):
        await mailbox.put(3)
    assert await mailbox.receive_batch(9) == [1, 2]
    with pytest.raises(MailboxClosed):
        await mailbox.receive()
    with pytest.raises(MailboxClosed):
        await mailbox.receive_batch(1)
    with pytest.raises(MailboxClosed):
        mailbox.put_nowait(3)


async def test_closing_wakes_who_waits() -> None:
    empty, full = filled(1), filled(1, 0)
    ended: list[str] = []

    async def wait(name: str, call: Callable[[], Awaitable[object]]) -> None:
        with pytest.raises(MailboxClosed):
            await call()
        ended.append(name)

    async with anyio.create_task_group() as group:
        group.start_soon(wait, "receiver", empty.receive)
        group.start_soon(wait, "sender", lambda: full.put(1))
        await settle()
        empty.close()
        full.close()
    assert sorted(ended) == ["receiver", "sender"]
    assert await full.receive() == 0


async def test_statistics_tell_the_state() -> None:
    mailbox = filled(4, 1, 2)
    await mailbox.receive()
    figures = mailbox.statistics()
    assert (figures.depth, figures.capacity, figures.received) == (1, 4, 1)
    assert (figures.rejected, figures.waiting, figures.closed) == (0, 0, False)


async def test_a_sender_waits_for_room_and_keeps_its_turn() -> None:
    mailbox = filled(1, 0)
    async with anyio.create_task_group() as group:
        for item in (1, 2):
            group.start_soon(mailbox.put, item)
            await settle()
        assert await mailbox.receive() == 0
        # The room belongs to the sender that waits, although it has not run yet.
        with pytest.raises(MailboxFull):
            mailbox.put_nowait(9)
        assert [await mailbox.receive() for _ in range(2)] == [1, 2]


async def test_put_does_not_wait_while_there_is_room() -> None:
    mailbox = filled(1)
    await mailbox.put(1)
    assert await mailbox.receive() == 1


async def test_what_is_put_back_is_the_oldest_again() -> None:
    mailbox = filled(3, 1, 2, 3)
    batch = await mailbox.receive_batch(2)
    mailbox.put_nowait(4)
    mailbox.put_back(batch)
    assert mailbox.statistics().received == 0
    with pytest.raises(MailboxFull):
        mailbox.put_nowait(5)
    assert await mailbox.receive_batch(9) == [1, 2, 3, 4]
    for item in range(3):
        mailbox.put_nowait(item)
    with pytest.raises(MailboxFull):
        mailbox.put_nowait(5)


async def test_what_is_put_back_wakes_a_receiver_even_when_closed() -> None:
    mailbox = filled(1, 1)
    batch = await mailbox.receive_batch(1)
    received: list[int] = []

    async def receive() -> None:
        received.append(await mailbox.receive())

    async with anyio.create_task_group() as group:
        group.start_soon(receive)
        await settle()
        mailbox.put_back(batch)
    assert received == [1]
    mailbox.close()
    mailbox.put_back([1])
    assert await mailbox.receive() == 1


def test_a_mailbox_needs_room() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mailbox(0)


class Receiver:
    """A task that receives once, and can be cancelled in both ways."""

    def __init__(self, mailbox: Mailbox[int]) -> None:
        self.received: list[int] = []
        self._mailbox = mailbox
        self._scope = anyio.CancelScope()
        self.task = asyncio.create_task(self._receive())

    async def _receive(self) -> None:
        with self._scope:
            self.received.append(await self._mailbox.receive())

    async def cancel(self, how: str) -> None:
        if how == "native":
            self.task.cancel()
        else:
            self._scope.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


@pytest.mark.parametrize("how", ["scope", "native"])
async def test_a_receiver_cancelled_while_it_waits_leaves_no_trace(how: str) -> None:
    mailbox = filled(1)
    receiver = Receiver(mailbox)
    await settle()
    await receiver.cancel(how)
    assert mailbox.statistics().waiting == 0
    mailbox.put_nowait(1)
    assert await mailbox.receive() == 1


@pytest.mark.parametrize("how", ["scope", "native"])
async def test_a_receiver_cancelled_after_its_wake_up_loses_nothing(how: str) -> None:
    mailbox = filled(1)
    receiver = Receiver(mailbox)
    await settle()
    mailbox.put_nowait(1)
    await receiver.cancel(how)
    # A scope lets a task that has been woken finish its step; a native cancellation does not.
    assert (receiver.received, len(mailbox)) == (([1], 0) if how == "scope" else ([], 1))


@pytest.mark.parametrize("how", ["scope", "native"])
async def test_a_cancelled_receivers_wake_up_goes_to_the_next(how: str) -> None:
    mailbox = filled(2)
    first = Receiver(mailbox)
    await settle()
    second = Receiver(mailbox)
    await settle()
    mailbox.put_nowait(1)
    await first.cancel(how)
    mailbox.put_nowait(2)
    await settle()
    assert second.received == ([2] if how == "scope" else [1])
    assert first.received + second.received == [1, 2][: len(first.received) + 1]
    await second.task


@pytest.mark.parametrize("how", ["scope", "native"])
async def test_a_sender_cancelled_while_it_waits_has_sent_nothing(how: str) -> None:
    mailbox = filled(1, 0)
    scope = anyio.CancelScope()

    async def put(item: int) -> None:
        with scope:
            await mailbox.put(item)

    task = asyncio.create_task(put(1))
    await settle()
    if how == "native":
        task.cancel()
    else:
        scope.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await mailbox.receive_batch(9) == [0]
    mailbox.put_nowait(2)
    assert len(mailbox) == 1


async def test_a_place_granted_to_a_cancelled_sender_goes_to_the_next() -> None:
    mailbox = filled(1, 0)
    first = asyncio.create_task(mailbox.put(1))
    await settle()
    second = asyncio.create_task(mailbox.put(2))
    await settle()
    assert await mailbox.receive() == 0
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    await second
    assert await mailbox.receive() == 2


async def test_a_native_cancellation_pins_the_trap_in_anyios_memory_stream() -> None:
    """When this fails, anyio has fixed issue 146: the mailbox's docstring wants a new reason."""
    send, receive = anyio.create_memory_object_stream[int](1)
    task = asyncio.create_task(receive.receive())
    await settle()
    send.send_nowait(1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    with pytest.raises(anyio.WouldBlock):
        receive.receive_nowait()
    send.close()
    receive.close()


STEPS = st.lists(
    st.sampled_from(
        ["put_nowait", "put", "receive", "batch", "turn", "cancel_receiver", "cancel_sender"]
    ),
    max_size=60,
)


@settings(deadline=None)
@given(steps=STEPS, capacity=st.integers(1, 3))
def test_nothing_is_lost_or_swapped_under_any_interleaving(steps: list[str], capacity: int) -> None:
    """What was accepted comes out once and in order, whoever is cancelled meanwhile."""
    asyncio.run(_interleave(steps, capacity))


async def _interleave(steps: list[str], capacity: int) -> None:
    mailbox: Mailbox[int] = Mailbox(capacity)
    accepted: list[int] = []
    received: list[int] = []
    receivers: list[asyncio.Task[None]] = []
    senders: list[asyncio.Task[None]] = []
    every_sender: list[asyncio.Task[None]] = []  # a cancelled one gives its place back a turn later
    numbers = iter(range(1000))

    async def put(item: int) -> None:
        await mailbox.put(item)
        accepted.append(item)

    async def receive(batch_max: int) -> None:
        if batch_max == 1:
            received.append(await mailbox.receive())
        else:
            received.extend(await mailbox.receive_batch(batch_max))

    for step in steps:
        if step == "put_nowait":
            item = next(numbers)
            try:
                mailbox.put_nowait(item)
                accepted.append(item)
            except MailboxFull:
                placed_or_granted = len(mailbox) + sum(not task.done() for task in every_sender)
                assert placed_or_granted >= capacity
        elif step == "put":
            senders.append(asyncio.create_task(put(next(numbers))))
            every_sender.append(senders[-1])
        elif step in ("receive", "batch"):
            receivers.append(asyncio.create_task(receive(1 if step == "receive" else 2)))
        elif step == "turn":
            await asyncio.sleep(0)
        elif step == "cancel_receiver" and receivers:
            receivers.pop(0).cancel()
        elif step == "cancel_sender" and senders:
            senders.pop(0).cancel()
        assert len(mailbox) <= capacity
    await settle(turns=4 * len(steps))  # senders and receivers may wake each other in turn
    if len(mailbox):
        assert all(task.done() for task in receivers), "a receiver sleeps although something waits"
    if len(mailbox) < capacity:
        assert all(task.done() for task in senders), "a sender sleeps although there is room"
    for task in (*receivers, *senders):
        task.cancel()
    await asyncio.gather(*receivers, *senders, return_exceptions=True)
    mailbox.close()
    while len(mailbox):
        received.append(await mailbox.receive())
    assert received == accepted
