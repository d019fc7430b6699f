import asyncio

import anyio
import pytest
from aiormq.exceptions import (
    AMQPConnectionError,
    ChannelInvalidStateError,
    ChannelPreconditionFailed,
    ProbableAuthenticationError,
)

from runtime.amqp.awaiting import bounded, either, finish
from runtime.errors import BrokerLost, DeadlineExceeded


async def _cancelled_by_the_library() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(
        future.set_exception, asyncio.CancelledError("reader stopped")
    )
    await future


async def test_the_trap_a_stray_cancellation_ends_a_task_group_in_silence() -> None:
    finished = []

    async def sibling() -> None:
        await anyio.sleep(60)
        finished.append("sibling")

    async with anyio.create_task_group() as group:
        group.start_soon(sibling)
        group.start_soon(_cancelled_by_the_library)
    assert finished == []  # the sibling was cancelled, and nobody was told


async def test_a_stray_cancellation_becomes_a_lost_broker() -> None:
    async with anyio.create_task_group():
        with pytest.raises(BrokerLost, match="publish: the connection to the broker ended"):
            await bounded(_cancelled_by_the_library(), 5, "publish")


async def test_our_own_cancellation_stays_one_and_ends_the_call() -> None:
    ended = anyio.Event()

    async def call() -> None:
        try:
            await anyio.sleep(60)
        finally:
            ended.set()

    with anyio.move_on_after(0.01) as scope:
        await bounded(call(), 60, "call")
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        await ended.wait()


async def test_a_call_that_takes_too_long_is_given_up() -> None:
    with pytest.raises(DeadlineExceeded, match=r"open: no answer from the broker within 0\.01 s"):
        await bounded(anyio.sleep(60), 0.01, "open")


async def test_a_value_comes_back() -> None:
    async def call() -> int:
        return 7

    assert await bounded(call(), 5, "call") == 7


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (AMQPConnectionError("x"), BrokerLost),
        (ConnectionResetError("x"), BrokerLost),
        (StopAsyncIteration(), BrokerLost),  # the socket has ended before the first frame is read
        (ChannelInvalidStateError("closed"), BrokerLost),
        (ChannelPreconditionFailed("x"), BrokerLost),
        (ProbableAuthenticationError("x"), BrokerLost),
        (KeyError("bug"), KeyError),
    ],
)
async def test_errors_are_ours_afterwards_and_keep_their_cause(
    theirs: Exception, ours: type[Exception]
) -> None:
    async def call() -> None:
        raise theirs

    with pytest.raises(ours) as caught:
        await bounded(call(), 5, "call")
    assert caught.value is theirs or caught.value.__cause__ is theirs


async def test_clean_up_never_fails_and_never_lasts() -> None:
    await finish(_cancelled_by_the_library(), 5)
    await finish(anyio.sleep(60), 0.01)


async def test_clean_up_goes_on_when_its_waiter_is_cancelled() -> None:
    closed = anyio.Event()

    async def close() -> None:
        await anyio.lowlevel.checkpoint()
        closed.set()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await finish(close(), 5)
    assert scope.cancelled_caught
    with anyio.fail_after(5):
        await closed.wait()


async def test_clean_up_that_nobody_waits_for_is_bounded_too() -> None:
    ended = anyio.Event()

    async def close() -> None:
        try:
            await anyio.sleep(60)
        finally:
            ended.set()

    with anyio.CancelScope() as scope:
        scope.cancel()
        await finish(close(), 0.01)
    with anyio.fail_after(5):
        await ended.wait()


async def test_either_returns_for_both() -> None:
    first, second = anyio.Event(), anyio.Event()
    async with anyio.create_task_group() as group:
        group.start_soon(either, first, second)
        second.set()
    await either(first, second)
