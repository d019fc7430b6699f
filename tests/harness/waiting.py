"""Waiting for a condition, bounded: tests never sleep to wait."""

from collections.abc import Callable

import anyio


async def until(condition: Callable[[], object], within_s: float = 20.0) -> None:
    """Return once ``condition()`` is true; fail the test if it is not within ``within_s``."""
    with anyio.move_on_after(within_s):
        while not condition():
            await anyio.sleep(0.01)
    assert condition(), f"not true within {within_s:g} s"
