import asyncio
import tempfile
from pathlib import Path
from typing import get_args

import anyio
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.child import ChildContext, Restart, Strategy, SupervisorSpec
from runtime.host import production_host
from runtime.node import CRASHES_KEPT
from runtime.supervisor import Supervisor
from runtime.telemetry import Telemetry
from tests.harness.stage import Stage, failure_of, states

# Order


async def test_children_start_in_order_and_stop_in_reverse(stage: Stage) -> None:
    async with stage.running(*map(stage.child, "abc")):
        assert stage.was_started
        assert stage.take() == "+a +b +c"
    assert stage.take() == "-c -b -a"


async def test_the_next_child_starts_only_after_started(stage: Stage) -> None:
    ready = anyio.Event()
    slow = stage.child("a", starts=lambda context: ready.wait())
    async with stage.running(slow, stage.child("b")) as supervisor:
        assert stage.take() == "+a"
        assert not stage.was_started
        assert states(supervisor.tree()) == "a:starting b:starting"
        ready.set()
        await stage.settle()
        assert stage.take() == "+b"
        assert states(supervisor.tree()) == "a:running b:running"


async def test_each_child_stops_before_the_one_started_before_it_is_told(stage: Stage) -> None:
    finish = anyio.Event()
    children = [stage.child("a"), stage.child("b", stops=finish.wait)]
    async with anyio.create_task_group() as group:

        async def run() -> None:
            async with stage.running(*children):
                stage.take()

        group.start_soon(run)
        await stage.settle()
        await stage.settle()
        assert stage.take() == ""
        finish.set()
    assert stage.take() == "-b -a"


async def test_a_child_that_overstays_its_grace_is_cancelled_and_the_rest_stops_in_order(
    stage: Stage,
) -> None:
    stubborn = stage.child("b", shutdown_s=0.0, stops=anyio.sleep_forever)
    async with stage.running(stage.child("a"), stubborn, stage.child("c")):
        stage.take()
    assert stage.take() == "-c -b -a"


async def test_an_error_while_stopping_does_not_keep_the_others_from_stopping(
    stage: Stage,
) -> None:
    async def fail() -> None:
        raise ValueError("planted")

    async with stage.running(stage.child("a"), stage.child("b", stops=fail)) as supervisor:
        stage.take()
    assert stage.take() == "-b -a"
    node = supervisor.tree().children[1]
    assert node.last_error == "ValueError: planted"
    assert [crash.ending for crash in node.crashes] == ["stopping"]


async def test_the_latest_crashes_are_kept_with_their_time_and_where_they_came_from(
    stage: Stage,
) -> None:
    async with stage.running(stage.child("a"), restarts_max=99) as supervisor:
        for number in range(CRASHES_KEPT + 2):
            await stage.crash("a", ValueError(f"number {number} of ada@example.org"))
        crashes = supervisor.tree().children[0].crashes
    assert len(crashes) == CRASHES_KEPT
    assert [crash.error for crash in crashes[:2]] == [
        "ValueError: number 11 of [e-mail]",
        "ValueError: number 10 of [e-mail]",
    ]
    assert {crash.ending for crash in crashes} == {"failed"}
    now_ms = stage.host.clock.wall() * 1000
    assert now_ms - 60_000 < crashes[-1].at_ms <= crashes[0].at_ms <= now_ms
    assert crashes[0].frames[0].startswith("runtime/supervisor.py:")
    assert crashes[0].frames[-1].startswith("harness/stage.py:")


# Strategies


@pytest.mark.parametrize(
    ("strategy", "what_happens"),
    [
        ("one_for_one", "-b +b"),
        ("rest_for_one", "-b -c +b +c"),
        ("one_for_all", "-b -c -a +a +b +c"),
    ],
)
async def test_a_strategy_restarts_whom_it_says_in_order(
    stage: Stage, strategy: Strategy, what_happens: str
) -> None:
    async with stage.running(*map(stage.child, "abc"), strategy=strategy) as supervisor:
        stage.take()
        await stage.crash("b")
        assert stage.take() == what_happens
        assert states(supervisor.tree()) == "a:running b:running c:running"


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
async def test_a_temporary_sibling_is_stopped_and_not_started_again(
    stage: Stage, strategy: Strategy
) -> None:
    children = [stage.child("a"), stage.child("b", "temporary")]
    async with stage.running(*children, strategy=strategy) as supervisor:
        stage.take()
        await stage.crash("a")
        assert stage.take() == "-a -b +a"
        assert states(supervisor.tree()) == "a:running b:stopped"


async def test_a_crash_along_with_an_elder_counts_once(stage: Stage) -> None:
    children = map(stage.child, "abc")
    async with stage.running(*children, strategy="rest_for_one", restarts_max=1):
        stage.take()
        stage.end("b", ValueError("planted"))
        stage.end("c", ValueError("planted"))
        await stage.settle()
        assert stage.take() == "-b -c +b +c"


# Restart types


@pytest.mark.parametrize(
    ("restart", "ending", "again"),
    [
        ("permanent", None, True),
        ("permanent", ValueError("planted"), True),
        ("permanent", asyncio.CancelledError(), True),
        ("transient", None, False),
        ("transient", ValueError("planted"), True),
        ("transient", asyncio.CancelledError(), True),
        ("temporary", None, False),
        ("temporary", ValueError("planted"), False),
        ("temporary", asyncio.CancelledError(), False),
    ],
)
async def test_how_a_child_ends_decides_whether_it_starts_again(
    stage: Stage, restart: Restart, ending: BaseException | None, again: bool
) -> None:
    async with stage.running(stage.child("a", restart), stage.child("b")) as supervisor:
        stage.take()
        stage.end("a", ending)
        await stage.settle()
        assert stage.take() == ("-a +a" if again else "-a")
        assert states(supervisor.tree()) == f"a:{'running' if again else 'stopped'} b:running"


async def test_a_return_that_nobody_asked_for_is_shown_as_the_error(stage: Stage) -> None:
    async with stage.running(stage.child("a")) as supervisor:
        stage.end("a", None)
        await stage.settle()
        status = supervisor.tree().children[0]
        assert status.restarts == 1
        assert status.last_error == "ChildReturned: a returned without being told to"


async def test_a_natively_cancelled_child_is_restarted(stage: Stage) -> None:
    tasks: list[asyncio.Task[object]] = []

    async def note(context: ChildContext) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.append(task)

    async with stage.running(stage.child("a", starts=note), stage.child("b")) as supervisor:
        stage.take()
        tasks[0].cancel()
        await stage.settle()
        assert stage.take() == "-a +a"
        assert "StrayCancellation" in (supervisor.tree().children[0].last_error or "")


@pytest.mark.parametrize("inside", ["Supervisor._pass_on", "Deadlines.run"])
async def test_a_natively_cancelled_task_of_its_own_does_not_end_the_tree_in_silence(
    stage: Stage, inside: str
) -> None:
    async def cancel_it() -> None:
        async with stage.running(*map(stage.child, "ab")):
            (own,) = (task for task in asyncio.all_tasks() if task.get_name().endswith(inside))
            own.cancel()
            await stage.settle()

    failure = await failure_of(cancel_it)
    assert repr(failure) == "StrayCancellation('root was cancelled from outside')"
    assert sorted(stage.log) == ["+a", "+b", "-a", "-b"]


# What is shown


async def test_the_tree_is_json(stage: Stage) -> None:
    inner = SupervisorSpec("inner", (stage.child("b"),), "one_for_all")
    async with stage.running(stage.child("a"), inner) as supervisor:
        tree = msgspec.to_builtins(supervisor.tree())
    assert tree == {
        "name": "root",
        "kind": "supervisor",
        "strategy": "one_for_one",
        "state": "running",
        "restarts": 0,
        "last_error": None,
        "children": (
            {
                "name": "a",
                "kind": "child",
                "strategy": None,
                "state": "running",
                "restarts": 0,
                "last_error": None,
                "children": (),
                "crashes": (),
                "restarts_in_s": None,
            },
            {
                "name": "inner",
                "kind": "supervisor",
                "strategy": "one_for_all",
                "state": "running",
                "restarts": 0,
                "last_error": None,
                "children": (
                    {
                        "name": "b",
                        "kind": "child",
                        "strategy": None,
                        "state": "running",
                        "restarts": 0,
                        "last_error": None,
                        "children": (),
                        "crashes": (),
                        "restarts_in_s": None,
                    },
                ),
                "crashes": (),
                "restarts_in_s": None,
            },
        ),
        "crashes": (),
        "restarts_in_s": None,
    }
    assert supervisor.tree().state == "stopped"


async def test_restarts_are_counted_and_logged_with_the_reason(stage: Stage) -> None:
    lines: list[dict[str, object]] = []
    stage.telemetry = Telemetry(
        wall=lambda: 0.0,
        log_format="json",
        write=lambda line: lines.append(msgspec.json.decode(line)),
    )
    async with stage.running(*map(stage.child, "ab"), strategy="one_for_all"):
        await stage.crash("a", ValueError("forged\nline"))
    metrics = stage.telemetry.render().decode()
    assert 'ordermill_actor_restarts_total{actor="a",reason="failed"} 1.0' in metrics
    assert 'ordermill_actor_restarts_total{actor="b",reason="sibling"} 1.0' in metrics
    assert [line["event"] for line in lines] == [
        "actor.crashed",
        "actor.restarted",
        "actor.restarted",
    ]
    assert lines[0]["error"] == "ValueError: forged\\nline"
    assert "stage.py" in str(lines[0]["where"])


async def test_deadlines_are_shared_by_the_whole_tree(stage: Stage) -> None:
    seen: list[object] = []

    async def note(context: ChildContext) -> None:
        assert context.deadlines is not None
        assert context.deadlines.running
        seen.append(context.deadlines)

    inner = SupervisorSpec("inner", (stage.child("b", starts=note),))
    async with stage.running(stage.child("a", starts=note), inner):
        assert len(seen) == 2
        assert seen[0] is seen[1]


def test_two_children_may_not_share_a_name(stage: Stage) -> None:
    spec = SupervisorSpec("root", (stage.child("a"), stage.child("a")))
    with pytest.raises(ValueError, match="share a name"):
        Supervisor(spec, stage.host, stage.telemetry)


CRASHES = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.booleans()), max_size=12)
STRATEGIES = st.sampled_from(get_args(Strategy))


@given(crashes=CRASHES, strategy=STRATEGIES)
@settings(max_examples=50, deadline=None)
def test_whatever_crashes_all_serve_again_and_nobody_twice(
    crashes: list[tuple[int, bool, bool]], strategy: Strategy
) -> None:
    """Each crash: which child, by an error or a return, and whether the next comes at once."""
    anyio.run(_crash_at_random, crashes, strategy)


async def _crash_at_random(crashes: list[tuple[int, bool, bool]], strategy: Strategy) -> None:
    stage = Stage(production_host(Path(tempfile.gettempdir())))
    names = ["a", "b", "c", "d"]
    async with stage.running(
        *map(stage.child, names), strategy=strategy, restarts_max=100
    ) as supervisor:
        for index, fails, at_once in crashes:
            stage.end(names[index], ValueError("planted") if fails else None)
            if not at_once:
                await stage.settle()
        await stage.settle()
        assert states(supervisor.tree()) == "a:running b:running c:running d:running"
    alive: list[str] = []
    for entry in stage.log:
        sign, name = entry[0], entry[1:]
        assert (name in alive) == (sign == "-")
        if sign == "+":
            if strategy != "one_for_one":
                assert alive == names[: names.index(name)], "started before its elders"
            alive.append(name)
        else:
            alive.remove(name)
    assert alive == []
