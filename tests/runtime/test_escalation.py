"""A supervisor that gives up, and what is never restarted."""

import anyio
import pytest

from runtime.child import ChildContext, SupervisorSpec
from runtime.errors import ConfigurationError, RestartIntensityExceeded, StoreBroken
from tests.harness.stage import Stage, failure_of, states

# Intensity and escalation


async def test_too_many_crashes_end_the_supervisor_after_an_orderly_stop(stage: Stage) -> None:
    async def crash_three_times() -> None:
        async with stage.running(*map(stage.child, "abc"), restarts_max=2):
            for _ in range(3):
                stage.take()
                await stage.crash("b")
            await anyio.sleep_forever()

    error = await failure_of(crash_three_times)
    assert isinstance(error, RestartIntensityExceeded)
    assert isinstance(error.__cause__, ValueError)
    assert "root gave up: b crashed" in str(error)
    assert "b planted" in str(error)
    assert stage.take() == "-b -c -a"


async def test_a_supervisor_that_gave_up_is_restarted_by_its_own(stage: Stage) -> None:
    inner = SupervisorSpec(
        "inner", (stage.child("b"), stage.child("c")), restarts_max=0, backoff_s_max=0.0
    )
    children = stage.child("a"), inner, stage.child("d")
    async with stage.running(*children, strategy="rest_for_one") as supervisor:
        assert stage.take() == "+a +b +c +d"
        await stage.crash("b")
        assert stage.take() == "-b -c -d +b +c +d"
        node = supervisor.tree().children[1]
        assert (node.kind, node.restarts, states(node)) == (
            "supervisor",
            1,
            "b:running c:running",
        )
        assert "inner gave up" in (node.last_error or "")
    assert stage.take() == "-d -c -b -a"


async def test_escalation_reaches_the_root_with_the_whole_chain(stage: Stage) -> None:
    inner = SupervisorSpec("inner", (stage.child("b"),), restarts_max=0)

    async def crash() -> None:
        async with stage.running(inner, restarts_max=0):
            await stage.crash("b")
            await anyio.sleep_forever()

    error = await failure_of(crash)
    assert "root gave up: inner crashed" in str(error)
    assert isinstance(error.__cause__, RestartIntensityExceeded)
    assert isinstance(error.__cause__.__cause__, ValueError)


async def test_a_supervisors_stop_is_bounded_by_its_children_alone(stage: Stage) -> None:
    finish = anyio.Event()
    inner = SupervisorSpec("inner", (stage.child("a", stops=finish.wait, shutdown_s=60.0),))
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with stage.running(inner):
                stage.take()

        group.start_soon(run)
        await stage.settle()
        await stage.settle()
        assert stage.take() == ""
        finish.set()
    assert stage.take() == "-a"


# What is never restarted


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_broken_store_goes_straight_up_from_any_depth(stage: Stage, grouped: bool) -> None:
    broken = StoreBroken("planted")
    ending = BaseExceptionGroup("group", [ValueError("other"), broken]) if grouped else broken
    inner = SupervisorSpec("inner", (stage.child("b"),))

    async def crash() -> None:
        async with stage.running(stage.child("a"), inner, stage.child("c")):
            stage.take()
            await stage.crash("b", ending)

    assert await failure_of(crash) is broken
    assert "+" not in stage.take()


async def test_a_store_that_breaks_during_the_stop_is_not_swallowed(stage: Stage) -> None:
    async def fail() -> None:
        raise StoreBroken("planted")

    async def stop() -> None:
        async with stage.running(stage.child("a"), stage.child("b", stops=fail)):
            stage.take()

    assert isinstance(await failure_of(stop), StoreBroken)


async def test_a_wrong_setting_ends_the_start_at_once(stage: Stage) -> None:
    async def fail(context: ChildContext) -> None:
        raise ConfigurationError("http.port: in use")

    inner = SupervisorSpec("inner", (stage.child("b", starts=fail),))

    async def start() -> None:
        async with stage.running(stage.child("a"), inner, stage.child("c")):
            await anyio.sleep_forever()

    assert isinstance(await failure_of(start), ConfigurationError)
    assert stage.take() == "+a +b -b -a"


async def test_a_setting_that_was_fine_before_is_a_crash_like_any_other(stage: Stage) -> None:
    async with stage.running(stage.child("a")):
        stage.take()
        await stage.crash("a", ConfigurationError("queue changed"))
        assert stage.take() == "-a +a"
