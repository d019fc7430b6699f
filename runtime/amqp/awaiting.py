"""The one way this program awaits aiormq.

Its law: an await on the client library ends within its bound, with a value or one of our errors.

When a connection dies, aiormq 7.2.4 cancels whoever waits on it (base.py, ``FutureStore``). A bare
``CancelledError`` that nobody asked for makes anyio end a task group without any exception, so a
supervised tree would stop in silence. Here every call runs in a task of its own: if *that* task was
cancelled and we did not do it, the broker is lost; our own cancellation arrives at the waiting
``asyncio.wait`` and keeps its meaning.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import anyio
from aiormq.exceptions import AMQPError

from runtime.errors import BrokerLost, DeadlineExceeded

T = TypeVar("T")

ENDING: set[asyncio.Task[Any]] = set()
"""Tasks that were given up and have not ended. Those of a loop that is over never will."""


async def bounded(call: Coroutine[Any, Any, T], seconds: float, what: str) -> T:
    """Await a call into aiormq for at most ``seconds``; ``what`` names it in errors.

    Raises `DeadlineExceeded` when time is up (the call is cancelled; its outcome is unknown),
    `BrokerLost` when the channel or connection ended. The library's error is kept as ``__cause__``.
    """
    task = asyncio.ensure_future(call)
    try:
        await asyncio.wait([task], timeout=seconds)
        finished = task.done()
    finally:
        if not task.done():
            _drop(task)
    if not finished:
        raise DeadlineExceeded(f"{what}: no answer from the broker within {seconds:g} s")
    return _result(task, what)


async def finish(call: Coroutine[Any, Any, None], seconds: float) -> None:
    """Give a clean-up call at most ``seconds``, and ignore how it ends.

    ``Connection.close`` lets a bare ``CancelledError`` out of a surrounding anyio scope, so it must
    never be awaited in a task that belongs to somebody. Who is cancelled meanwhile waits no longer,
    but the call goes on.
    """
    await asyncio.wait([detach(call, seconds)], timeout=seconds)


async def either(first: anyio.Event, second: anyio.Event) -> None:
    """Return once one of the two events is set."""

    async def wait(event: anyio.Event) -> None:
        await event.wait()
        group.cancel_scope.cancel()

    if first.is_set() or second.is_set():
        return
    async with anyio.create_task_group() as group:
        group.start_soon(wait, first)
        group.start_soon(wait, second)


def detach(call: Coroutine[Any, Any, None], seconds: float | None) -> "asyncio.Task[None]":
    """Start a clean-up call that nobody need wait for, bounded like `finish`."""
    task = asyncio.ensure_future(call)
    if seconds is not None:
        limit = task.get_loop().call_later(seconds, task.cancel)
        task.add_done_callback(lambda _: limit.cancel())
    _keep(task)
    return task


def translated(error: BaseException, what: str) -> Exception:
    """Return our error for one that aiormq raised; anything unknown is returned as it is."""
    match error:
        case asyncio.CancelledError():
            return BrokerLost(f"{what}: the connection to the broker ended")
        case AMQPError() | OSError() | RuntimeError() | EOFError() | StopAsyncIteration():
            return BrokerLost(f"{what}: {type(error).__name__}: {_text(error)}")
        case Exception():
            return error
    return BrokerLost(f"{what}: {type(error).__name__}")


def _result(task: "asyncio.Future[T]", what: str) -> T:
    try:
        return task.result()
    except (Exception, asyncio.CancelledError) as error:
        ours = translated(error, what)
        if ours is error:
            raise
        raise ours from error


def _drop(task: "asyncio.Task[Any]") -> None:
    if not task.done():
        task.cancel()
        _keep(task)
    task.add_done_callback(_forget)


def _keep(task: "asyncio.Task[Any]") -> None:
    # The event loop holds tasks weakly; a task that is still ending must not be collected.
    ENDING.add(task)
    task.add_done_callback(_forget)


def _forget(task: "asyncio.Task[Any]") -> None:
    ENDING.discard(task)
    if not task.cancelled():
        task.exception()


def _text(error: BaseException) -> str:
    return str(error)[:200]
