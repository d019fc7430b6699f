"""Stopping a supervisor at any moment, also before and during a restart."""

import dataclasses
import random
from typing import cast

import anyio
from anyio.lowlevel import checkpoint

from runtime.child import ChildContext
from runtime.node import standing
from tests.harness.stage import Stage, states


async def test_a_stop_during_the_back_off_is_honoured_at_once(stage: Stage) -> None:
    async with stage.running(
        stage.child("a"), stage.child("b"), restarts_max=1, backoff_s_max=1e9
    ) as supervisor:
        stage.take()
        await stage.crash("b")
        assert states(supervisor.tree()) == "a:running b:restarting"
        serves, waits = supervisor.tree().children
        assert serves.restarts_in_s is None
        assert waits.restarts_in_s is not None
        assert 0 < waits.restarts_in_s <= 1e9
        assert standing(supervisor.tree()) == f"b is restarting in {waits.restarts_in_s:.1f} s"
    assert stage.take() == "-b -a"


async def test_a_stop_during_the_start_is_honoured_at_once(stage: Stage) -> None:
    slow = stage.child("b", starts=lambda context: context.stopping.wait())
    async with stage.running(stage.child("a"), slow, stage.child("c")):
        assert stage.take() == "+a +b"
    assert stage.take() == "-b -a"


class Draws:
    """Random numbers that are none: the delays of the coming restarts, in order."""

    def __init__(self, *delays: float) -> None:
        self._delays = list(delays)

    def uniform(self, low: float, high: float) -> float:
        return self._delays.pop(0)


async def test_a_restart_comes_after_its_back_off(stage: Stage) -> None:
    stage.host = dataclasses.replace(stage.host, random=cast("random.Random", Draws(0.01)))
    serves = anyio.Event()

    async def note(context: ChildContext) -> None:
        if stage.log.count("+a") == 2:
            serves.set()

    async with stage.running(stage.child("a", starts=note), stage.child("b")) as supervisor:
        stage.end("a", None)
        await stage.settle()
        assert states(supervisor.tree()) == "a:restarting b:running"
        await serves.wait()


async def test_one_back_off_does_not_hold_up_another_childs_restart(stage: Stage) -> None:
    stage.host = dataclasses.replace(stage.host, random=cast("random.Random", Draws(1e9, 0.0)))
    async with stage.running(*map(stage.child, "ab")) as supervisor:
        stage.take()
        await stage.crash("a")
        await stage.crash("b")
        assert stage.take() == "-a -b +b"
        assert states(supervisor.tree()) == "a:restarting b:running"


async def test_a_crash_before_started_is_tried_again_and_the_next_child_waits(
    stage: Stage,
) -> None:
    failures = [ValueError("planted"), ValueError("planted")]

    async def fail_twice(context: ChildContext) -> None:
        if failures:
            raise failures.pop()

    async with stage.running(stage.child("a", starts=fail_twice), stage.child("b")):
        assert stage.was_started
        assert stage.take() == "+a -a +a -a +a +b"


async def test_cancelling_the_root_ends_all(stage: Stage) -> None:
    with anyio.CancelScope() as scope:
        async with stage.running(*map(stage.child, "ab")):
            stage.take()
            scope.cancel()
            await checkpoint()
    assert sorted(stage.log) == ["-a", "-b"]
