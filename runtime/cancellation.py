"""Telling a cancellation that was meant from one that strayed in.

anyio cancels a task through the scopes around it. A `CancelledError` without such a scope comes
from a library that cancelled its own future (aiormq does when the broker falls silent) or from a
native ``task.cancel()``. anyio's task group takes it for a task that simply ended, cancels the
siblings and leaves without any exception (measured on anyio 4.16; its issues 374, 787): a tree
built on that would just stop. Whoever runs other people's coroutines therefore asks `was_meant`.
"""

import math

import anyio


class StrayCancellation(Exception):
    """A coroutine was cancelled although nobody had told it to end."""


def was_meant() -> bool:
    """Whether the cancellation just caught comes from a scope around the caller."""
    return anyio.current_effective_deadline() == -math.inf
