import asyncio

import anyio
import pytest

from runtime.endings import fatal_error, sole_error, was_meant
from runtime.errors import StoreBroken


async def test_a_cancellation_by_a_scope_was_meant() -> None:
    seen: list[bool] = []
    with anyio.CancelScope() as scope:
        scope.cancel()
        try:
            await anyio.sleep(1)
        except anyio.get_cancelled_exc_class():
            seen.append(was_meant())
            raise
    assert seen == [True]


async def test_a_cancellation_without_a_scope_strayed_in() -> None:
    seen: list[bool] = []
    try:
        raise asyncio.CancelledError
    except asyncio.CancelledError:
        seen.append(was_meant())
    assert seen == [False]


async def test_a_task_group_ends_silently_on_a_stray_cancellation() -> None:
    """The trap itself: when this fails, anyio reports it, and `was_meant` may go."""

    async def stray() -> None:
        raise asyncio.CancelledError

    sibling_cancelled = False
    async with anyio.create_task_group() as group:
        group.start_soon(stray)
        try:
            await anyio.sleep_forever()
        finally:
            sibling_cancelled = True
    assert sibling_cancelled


def test_a_group_of_one_is_its_member() -> None:
    error = ValueError()
    assert sole_error(ExceptionGroup("a", [ExceptionGroup("b", [error])])) is error
    two = ExceptionGroup("a", [error, error])
    assert sole_error(two) is two
    assert sole_error(error) is error


@pytest.mark.parametrize("fatal", [StoreBroken("x"), KeyboardInterrupt(), SystemExit(1)])
def test_a_fatal_error_is_found_at_any_depth(fatal: BaseException) -> None:
    assert fatal_error(fatal) is fatal
    nested = BaseExceptionGroup("a", [ValueError(), BaseExceptionGroup("b", [OSError(), fatal])])
    assert fatal_error(nested) is fatal


def test_other_errors_are_not_fatal() -> None:
    assert fatal_error(None) is None
    assert fatal_error(ValueError()) is None
    assert fatal_error(ExceptionGroup("a", [ValueError()])) is None
