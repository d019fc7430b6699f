"""What runs around a test ends with it: a failure inside is told, and nothing waits for ever."""

import subprocess
import sys
from pathlib import Path

import anyio
import pytest

from runtime.child import ChildContext
from tests.harness import embedded
from tests.harness.embedded import EmbeddedServer
from tests.harness.running import running


async def serve(context: ChildContext) -> None:
    context.started()
    await context.stopping.wait()


async def returns(context: ChildContext) -> None:
    """Never starts."""


async def fails(context: ChildContext) -> None:
    raise ZeroDivisionError


async def dawdles(context: ChildContext) -> None:
    await anyio.sleep_forever()


async def stays(context: ChildContext) -> None:
    context.started()
    await anyio.sleep_forever()


@pytest.mark.parametrize(
    ("child", "told"),
    [
        (returns, "child-1 ended before it had started"),
        (fails, "ZeroDivisionError"),
        (dawdles, "TimeoutError"),
        (stays, "TimeoutError"),
    ],
)
async def test_a_child_that_does_not_start_or_end_ends_the_block(child: object, told: str) -> None:
    with anyio.fail_after(20), pytest.raises(BaseExceptionGroup) as caught:
        async with running(serve, child, within_s=0.05):  # type: ignore[arg-type]  # one of above
            pass
    assert [told in repr(error) for error in caught.value.exceptions] == [True]


async def test_a_failure_inside_the_block_comes_out() -> None:
    with anyio.fail_after(20), pytest.raises(BaseExceptionGroup) as caught:
        async with running(serve, serve):
            raise AssertionError("a test that fails")
    assert [repr(error) for error in caught.value.exceptions] == [
        "AssertionError('a test that fails')"
    ]


STUCK = """
import threading
from tests.harness import embedded

def hang_here():
    threading.Event().wait()

embedded.STOP_S_MAX = 0.2
with embedded.EmbeddedServer() as server:
    server._token.native_token.call_soon_threadsafe(hang_here)
"""


def test_an_embedded_broker_that_hangs_is_told_with_where_and_ends_the_run() -> None:
    project = Path(__file__).parents[2]
    command = [sys.executable, "-c", STUCK]
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "the embedded broker hangs" in done.stderr
    assert "in hang_here" in done.stderr


def test_an_embedded_broker_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(embedded, "BrokerServer", broken)
    with pytest.raises(RuntimeError, match="did not start") as caught, EmbeddedServer():
        raise AssertionError("it is not there")
    assert isinstance(caught.value.__cause__, ZeroDivisionError)
