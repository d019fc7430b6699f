"""What happens to processes: they die, hang and are told to stop, and go on from their disks."""

import asyncio

import anyio
import pytest

from sim.faults import process
from sim.plan import World
from tests.sim.faults.small import QUICK, Struck, strike


def ends(struck: Struck, node: str = "shop") -> list[str]:
    """How the node's processes ended, but for the last one, which was told to stop."""
    return struck.running.world.nodes[node].ended[:-1]


def test_a_killed_process_starts_again() -> None:
    struck = strike("kill", "shop", at_s=1.3, for_s=0.5)
    assert struck.effects == {"kill": 1}
    assert ends(struck) == ["killed"]
    assert struck.breaches == []


def test_a_crash_loop_kills_again_what_has_just_started() -> None:
    struck = strike("crash-loop", "shop", at_s=1.3, times=2, within_s=0.3)
    assert struck.effects == {"crash-loop": 2}
    assert ends(struck) == ["killed"] * 3
    assert struck.breaches == []


@pytest.mark.parametrize(("grace_s", "end"), [(10.0, "exited"), (0.001, "killed")])
def test_a_process_that_is_told_to_stop_drains_or_is_killed(grace_s: float, end: str) -> None:
    struck = strike("sigterm", "shop", at_s=1.3, for_s=0.5, grace_s=grace_s)
    assert struck.effects["sigterm"] >= 1
    assert ends(struck) == [end]
    assert struck.breaches == []


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_process_is_told_to_stop_amid_a_call_and_finishes_it(moment: str) -> None:
    facts = {"party": "provider", "only": "capture", "moment": moment, "restart_s": 0.5}
    struck = strike("sigterm", "shop", for_s=9.0, **facts)
    assert struck.effects == {"sigterm": 1}
    assert ends(struck) == ["exited"]
    assert {one.states["shop"] for one in struck.running.world.witness.struck} == {"stopping"}
    assert struck.breaches == []


def test_a_frozen_process_wakes_when_everybody_has_given_it_up() -> None:
    struck = strike("freeze", "shop", at_s=1.3, for_s=6.0)
    assert struck.effects == {"freeze": 1}
    assert ends(struck) == []
    assert struck.breaches == []


def test_a_process_that_stutters_is_only_late() -> None:
    struck = strike("stutter", "shop", pause_s=0.3)
    assert struck.effects["stutter"] >= 3
    assert struck.breaches == []


@pytest.mark.parametrize("kind", ["actor-exception", "stray-cancel", "task-cancelled"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_task_that_is_broken_is_noticed_and_replaced(kind: str, seed: int) -> None:
    struck = strike(kind, "shop", at_s=1.3, seed=seed)
    assert struck.effects == {kind: 1}
    assert struck.breaches == []


def test_a_bug_that_comes_again_makes_a_supervisor_give_up() -> None:
    world = World(own_broker=True, settings={**QUICK, "runtime.restarts_max": 1})
    facts = {"only": "ordermill/loop-lag", "again": 12, "within_s": 0.5}
    struck = strike("actor-exception", "shop", for_s=25.0, world=world, **facts)
    assert struck.effects["actor-exception"] >= 2
    assert struck.incidents("supervisor.escalated")
    assert ends(struck)[0] == "exited: RestartIntensityExceeded"
    assert struck.breaches == []


async def test_nothing_is_raised_where_nothing_can() -> None:
    """A group would leave its children behind, and a sleep's timer would end it twice."""

    async def parent() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(anyio.sleep_forever)

    waits = parent(), anyio.sleep(60), anyio.Event().wait()
    tasks = [asyncio.create_task(wait) for wait in waits]
    await anyio.wait_all_tasks_blocked()
    inside = [process._innermost(task) for task in tasks]  # type: ignore[arg-type]
    assert [one in process._NOTHING_RAISES_IN for one in inside] == [True, True, False]
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)


def test_an_embedded_broker_is_restarted_by_its_supervisor() -> None:
    struck = strike("broker-restart", "shop", at_s=1.3, world=World(settings=QUICK))
    assert struck.effects == {"broker-restart": 1}
    assert ends(struck) == []
    assert struck.incidents("actor.restarted") >= 1
    assert struck.breaches == []
