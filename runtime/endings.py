"""How a coroutine may end, told apart: as meant, by a stray cancellation, or so that all must end.

anyio cancels a task through the scopes around it. A `CancelledError` without such a scope comes
from a library that cancelled its own future (aiormq does when the broker falls silent) or from a
native ``task.cancel()``. anyio's task group takes it for a task that simply ended, cancels the
siblings and leaves without any exception (measured on anyio 4.16; its issues 374, 787): a tree
built on that would just stop. Whoever runs other people's coroutines therefore asks `was_meant`.
"""

import math

import anyio

from runtime.errors import StoreBroken


class StrayCancellation(Exception):
    """A coroutine was cancelled although nobody had told it to end."""


def was_meant() -> bool:
    """Whether the cancellation just caught comes from a scope around the caller."""
    return anyio.current_effective_deadline() == -math.inf


def sole_error(error: BaseException) -> BaseException:
    """Return the one error inside groups of one; anything else as it is.

    A task group wraps even a single failure, and nobody catches "a group of a ConfigurationError".
    """
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def fatal_error(error: BaseException | None) -> BaseException | None:
    """Return the error in ``error`` (itself, or in its groups) that must end the process, or None.

    `StoreBroken` says that carrying on could tell lies; the others are Python's own ways out.
    """
    if isinstance(error, BaseExceptionGroup):
        found = (fatal_error(member) for member in error.exceptions)
        return next((member for member in found if member is not None), None)
    return error if isinstance(error, StoreBroken | KeyboardInterrupt | SystemExit) else None
