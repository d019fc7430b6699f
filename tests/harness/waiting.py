"""Waiting for a condition, bounded: tests never sleep for a time and hope."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

T = TypeVar("T")


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Return once ``condition()`` is true; fail the test if it is not within ``within_s``."""
    with anyio.move_on_after(within_s):
        while not condition():  # noqa: ASYNC110  # what is watched has no event
            await anyio.sleep(0.01)
    assert condition(), f"not true within {within_s:g} s"


async def eventually(look: Callable[[], Awaitable[T | None]], within_s: float = 20.0) -> T:
    """Return the first true thing that ``look`` finds; fail the test if it finds none in time."""
    with anyio.move_on_after(within_s):
        while True:
            if found := await look():
                return found
            await anyio.sleep(0.02)
    raise AssertionError(f"found nothing within {within_s:g} s")
