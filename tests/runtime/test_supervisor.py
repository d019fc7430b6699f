import asyncio
import dataclasses
import random
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast, get_args

import anyio
import msgspec
import pytest
from anyio.lowlevel import checkpoint
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.child import ChildContext, ChildSpec, Restart, Strategy, SupervisorSpec
from runtime.endings import sole_error
from runtime.errors import ConfigurationError, Rejection, RestartIntensityExceeded, StoreBroken
from runtime.host import Host, production_host
from runtime.node import CRASHES_KEPT, NodeStatus, standing
from runtime.supervisor import Supervisor
from runtime.telemetry import Telemetry, quiet_telemetry


class Stage:
    """Children that do as they are told, and a log of what they did."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.telemetry: Telemetry = quiet_telemetry()
        self.log: list[str] = []
        self.was_started = False
        self._orders: dict[str, anyio.Event] = {}
        self._endings: dict[str, BaseException | None] = {}

    def child(
        self,
        name: str,
        restart: Restart = "permanent",
        *,
        shutdown_s: float = 5.0,
        starts: Callable[[ChildContext], Awaitable[None]] | None = None,
        stops: Callable[[], Awaitable[None]] | None = None,
    ) -> ChildSpec:
        """A child that serves until told to stop or ordered to end (`end`)."""

        async def run(context: ChildContext) -> None:
            self.log.append(f"+{name}")
            order = self._orders[name] = anyio.Event()
            try:
                if starts is not None:
                    await starts(context)
                context.started()
                await self._until(context.stopping, order)
                if not context.stopping.is_set():
                    ending = self._endings[name]
                    if ending is not None:
                        raise ending
                elif stops is not None:
                    await stops()
            finally:
                self.log.append(f"-{name}")

        return ChildSpec(name, run, restart, shutdown_s)

    @staticmethod
    async def _until(*events: anyio.Event) -> None:
        async with anyio.create_task_group() as group:

            async def wait(event: anyio.Event) -> None:
                await event.wait()
                group.cancel_scope.cancel()

            for event in events:
                group.start_soon(wait, event)

    def end(self, name: str, ending: BaseException | None) -> None:
        """Make the child raise ``ending``, or return where it is None."""
        self._endings[name] = ending
        self._orders[name].set()

    async def crash(self, name: str, ending: BaseException | None = None) -> None:
        self.end(name, ending or ValueError(f"{name} planted"))
        await self.settle()

    async def settle(self) -> None:
        for _ in range(40):
            await checkpoint()

    def take(self) -> str:
        taken, self.log[:] = " ".join(self.log), []
        return taken

    @asynccontextmanager
    async def running(
        self,
        *children: ChildSpec | SupervisorSpec,
        strategy: Strategy = "one_for_one",
        restarts_max: int = 5,
        backoff_s_max: float = 0.0,
    ) -> AsyncIterator[Supervisor]:
        spec = SupervisorSpec(
            "root", children, strategy, restarts_max=restarts_max, backoff_s_max=backoff_s_max
        )
        supervisor = Supervisor(spec, self.host, self.telemetry)
        stopping, started = anyio.Event(), anyio.Event()
        with anyio.fail_after(10):
            async with anyio.create_task_group() as group:
                group.start_soon(lambda: supervisor.run(stopping, started=started.set))
                await self.settle()
                self.was_started = started.is_set()
                yield supervisor
                stopping.set()


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(production_host(tmp_path))


async def failure_of(act: Callable[[], Awaitable[None]]) -> BaseException:
    """Return the one error that ``act`` ends with."""
    try:
        await act()
    except BaseExceptionGroup as errors:
        return sole_error(errors)
    raise AssertionError("nothing failed")


def states(node: NodeStatus) -> str:
    return " ".join(f"{child.name}:{child.state}" for child in node.children)


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
    assert crashes[0].frames[-1].startswith("runtime/test_supervisor.py:")


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


# Restarts that were asked for


@pytest.mark.parametrize(
    ("strategy", "what_happens"),
    [
        ("one_for_one", "-b +b"),
        ("rest_for_one", "-c -b +b +c"),
        ("one_for_all", "-c -b -a +a +b +c"),
    ],
)
async def test_whoever_is_asked_for_starts_again_and_no_budget_is_spent(
    stage: Stage, strategy: Strategy, what_happens: str
) -> None:
    children = map(stage.child, "abc")
    async with stage.running(*children, strategy=strategy, restarts_max=0) as supervisor:
        stage.take()
        for restarts in (1, 2):
            supervisor.restart(["b"])
            supervisor.restart(["b"])
            await stage.settle()
            assert stage.take() == what_happens
            node = supervisor.tree().children[1]
            assert (node.state, node.restarts, node.crashes) == ("running", restarts, ())


async def test_whoever_waits_or_has_ended_is_started_at_once_if_asked_for(stage: Stage) -> None:
    children = stage.child("a"), stage.child("b", "transient"), stage.child("c", "temporary")
    async with stage.running(*children, backoff_s_max=1e6) as supervisor:
        await stage.crash("a")
        stage.end("b", None)
        await stage.crash("c")
        stage.take()
        assert states(supervisor.tree()) == "a:restarting b:stopped c:stopped"
        for name in "abc":
            supervisor.restart([name])
        await stage.settle()
        assert stage.take() == "+a +b +c"


async def test_the_tree_is_gone_down_to_whoever_is_asked_for(stage: Stage) -> None:
    inner = SupervisorSpec("inner", (stage.child("b"), stage.child("c")))
    async with stage.running(stage.child("a"), inner, backoff_s_max=1e6) as supervisor:
        stage.take()
        supervisor.restart(["inner", "c"])
        await stage.settle()
        assert stage.take() == "-c +c"
        supervisor.restart(["inner"])
        await stage.settle()
        assert stage.take() == "-c -b +b +c"
        for path in ([], ["d"], ["a", "b"], ["inner", "d"], ["inner", "b", "c"]):
            with pytest.raises(Rejection) as refused:
                supervisor.restart(path)
            assert refused.value.code == "not-found"
        assert stage.take() == ""


async def test_nobody_below_a_supervisor_that_is_not_running_can_be_asked_for(
    stage: Stage,
) -> None:
    inner = SupervisorSpec("inner", (stage.child("b"),), restarts_max=0)
    async with stage.running(inner, backoff_s_max=1e6) as supervisor:
        await stage.crash("b")
        assert states(supervisor.tree()) == "inner:restarting"
        with pytest.raises(Rejection, match="inner is restarting") as refused:
            supervisor.restart(["inner", "b"])
        assert (refused.value.code, refused.value.status_hint) == ("not-running", 409)


async def test_a_stop_is_not_kept_waiting_by_what_was_asked_for(stage: Stage) -> None:
    async with stage.running(*map(stage.child, "ab")) as supervisor:
        stage.take()
        supervisor.restart(["a"])
    assert stage.take() == "-b -a"


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


# Stopping at any moment


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
    assert "test_supervisor.py" in str(lines[0]["where"])


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
