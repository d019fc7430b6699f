import pytest

from bench.machine import Machine
from bench.results import CaseResult, ContenderResult, Results
from bench.sample import Latency, Sample
from bench.thresholds import Threshold
from runtime.errors import ConfigurationError


def results(*p99_s: float) -> Results:
    samples = [
        Sample(operations=1, wall_s=1.0, cpu_s=0.1, memory_mib=1.0, latency=Latency.of([seconds]))
        for seconds in p99_s
    ]
    ours = ContenderResult(role="ours", how="", guarantees="", samples=samples)
    machine = Machine(
        cores=1,
        cpu="",
        memory_gib=1,
        system="",
        python="",
        sqlite="",
        packages={},
        load_before=0.0,
    )
    case = CaseResult(title="t", operation="o", contenders={"ordermill": ours})
    return Results(at="", commit="", machine=machine, cases={"ask": case})


@pytest.mark.parametrize("text", ["p99 < 50ms", "p99<=0.05s", "p99 < 50000us"])
def test_a_limit_on_a_latency_is_held_in_its_unit(text: str) -> None:
    assert Threshold.parse(text).judge(results(0.040, 0.049, 0.080)).holds


def test_the_median_decides() -> None:
    held = Threshold.parse("p99 < 50ms").judge(results(0.040, 0.051, 0.080))
    assert not held.holds
    assert held.lines == ["  FAILED  ask: p99 < 50ms  measured 51 (40 .. 80)"]


def test_a_limit_that_nothing_was_held_to_fails() -> None:
    empty = Results(at="", commit="", machine=results(0.1).machine, cases={})
    assert not Threshold.parse("errors == 0").judge(empty).holds


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p99 < 50", "needs a unit"),
        ("rate > 5ms", "has no unit"),
        ("speed > 5", "not of the form"),
        ("p99", "not of the form"),
    ],
)
def test_what_is_no_limit_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Threshold.parse(text)
