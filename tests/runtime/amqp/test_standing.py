"""What a link says of itself: one line a change, one a minute, and never a better face than due."""

import json
from collections.abc import Callable

import pytest

from runtime.amqp.standing import REMIND_S, Standing
from runtime.telemetry import Telemetry


class Hours:
    """A clock that is set."""

    now_s = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Hours:
    return Hours()


@pytest.fixture
def log() -> list[str]:
    return []


@pytest.fixture
def standing(clock: Hours, log: list[str]) -> Standing:
    telemetry = Telemetry(wall=clock.wall, log_format="json", write=log.append)
    return Standing("publish", clock, telemetry)


def said(log: list[str]) -> list[tuple[object, object]]:
    lines = [json.loads(line) for line in log]
    return [(line["event"], line.get("error", line.get("down_s"))) for line in lines]


def test_each_change_of_state_is_one_line(standing: Standing, clock: Hours, log: list[str]) -> None:
    standing.connected()
    standing.connected()
    clock.now_s += 1
    standing.lost("reset")
    clock.now_s += 1
    standing.lost("no answer")
    standing.refused("wrong password", "account")
    clock.now_s += 1
    standing.connected()
    assert said(log) == [
        ("broker.back", 0.0),
        ("broker.lost", "reset"),
        ("broker.refused", "wrong password"),
        ("broker.back", 2.0),
    ]


def test_a_broker_that_was_never_there_is_told_too(standing: Standing, log: list[str]) -> None:
    standing.lost("nobody listens")
    assert said(log) == [("broker.lost", "nobody listens")]


def test_an_outage_is_called_to_mind_once_a_minute(
    standing: Standing, clock: Hours, log: list[str]
) -> None:
    standing.connected()
    for _ in range(30):
        clock.now_s += REMIND_S / 10
        standing.lost("nobody listens")
    assert said(log)[1:] == [("broker.lost", "nobody listens")] * 3


@pytest.mark.parametrize(
    "worse",
    [
        lambda standing: standing.lost("reset"),
        lambda standing: standing.stalled("low on memory"),
        lambda standing: standing.refused("wrong password", "account"),
    ],
    ids=["lost", "stalled", "refused"],
)
def test_an_outage_began_when_the_order_of_things_ended(
    standing: Standing, clock: Hours, worse: Callable[[Standing], None]
) -> None:
    standing.connected()
    clock.now_s = 200.0
    standing.stalled("low on memory")
    clock.now_s = 230.0
    worse(standing)
    assert standing.now.since == 200.0


def test_strangers_get_a_word_and_operators_the_reason(standing: Standing) -> None:
    standing.refused("connect to amqp://shop:***@10.0.0.7: the user name or password", "account")
    assert standing.now.word == "account"
    standing.lost("connect to 10.0.0.7: refused")
    assert standing.now.word == ""
    standing.stalled("low on memory")
    assert (standing.now.word, standing.now.reason) == ("low on memory", "low on memory")
    standing.stopped()
    assert standing.now.state == "stopped"
