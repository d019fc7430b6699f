"""Restarts that an operator has asked a supervisor for."""

import pytest

from runtime.child import Strategy, SupervisorSpec
from runtime.errors import Rejection
from tests.harness.stage import Stage, states


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
