"""Closing what a coroutine waits in before the coroutine itself, as if its task took a step."""

import gc
from contextlib import suppress
from contextvars import Context
from types import AsyncGeneratorType, CoroutineType
from typing import Any

CLOSES_MAX = 1000


def close_from_inside(whole: object, context: Context) -> None:
    """Close a coroutine, those in which it waits first; each may want to wait again."""
    left = CLOSES_MAX
    while isinstance(whole, CoroutineType) and whole.cr_frame is not None and left:
        left -= 1
        inside = whole
        while (inner := _waited_for(inside.cr_await)) is not None:
            inside = inner
        with suppress(BaseException):
            context.run(inside.close)


def _waited_for(awaited: object) -> "CoroutineType[Any, Any, Any] | None":
    """Return the coroutine in which a coroutine waits, through asynchronous generators, too."""
    while awaited is not None and not isinstance(awaited, CoroutineType):
        held = (one for one in gc.get_referents(awaited) if isinstance(one, AsyncGeneratorType))
        generator = next(held, None)
        awaited = None if generator is None else generator.ag_await
    return awaited if awaited is not None and awaited.cr_frame is not None else None
