import pytest

from bench.sample import Latency, Sample, Spread, figures, ratio, spread


def sample(operations: int = 100, *, wall_s: float = 2.0, cpu_s: float = 0.01) -> Sample:
    return Sample(
        operations=operations,
        wall_s=wall_s,
        cpu_s=cpu_s,
        memory_mib=50.0,
        latency=Latency.of([0.001, 0.002, 0.003]),
        figures={"reads": 7.0},
    )


def test_a_sample_tells_rate_and_cost() -> None:
    one = sample()
    assert one.rate == 50.0
    assert one.cpu_us == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("metric", "value"), [("rate", 50.0), ("p50", 2.0), ("max", 3.0), ("reads", 7.0)]
)
def test_a_figure_is_found_by_name(metric: str, value: float) -> None:
    assert sample().value(metric) == value


def test_percentiles_are_of_nearest_rank_and_in_milliseconds() -> None:
    found = Latency.of([number / 1000 for number in range(1, 1001)])
    assert found is not None
    assert (found.p50, found.p90, found.p99, found.p999, found.max) == (501, 901, 991, 1000, 1000)


def test_nothing_has_no_percentiles() -> None:
    assert Latency.of([]) is None


def test_a_ratio_is_taken_round_by_round() -> None:
    rival = [sample(cpu_s=0.03), sample(cpu_s=0.06), sample(cpu_s=0.05)]
    ours = [sample(cpu_s=0.01), sample(cpu_s=0.01), sample(cpu_s=0.01)]
    found = ratio(rival, ours, "cpu_us")
    assert (found.median, found.low, found.high) == pytest.approx((5.0, 3.0, 6.0))


def test_a_spread_holds_the_median_and_the_ends() -> None:
    samples = [sample(wall_s=wall_s) for wall_s in (1.0, 4.0, 2.0)]
    assert spread(samples, "rate") == Spread(50.0, 25.0, 100.0)


def test_a_figure_that_one_round_has_not_is_of_the_others() -> None:
    other = Sample(operations=1, wall_s=1.0, cpu_s=1.0, memory_mib=1.0, figures={"writes": 2.0})
    assert figures([sample(), other, sample()]) == {
        "reads": Spread(7.0, 7.0, 7.0),
        "writes": Spread(2.0, 2.0, 2.0),
    }
