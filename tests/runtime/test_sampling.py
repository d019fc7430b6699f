"""What is sampled, for how long it is kept, and the rates that are made of it."""

from runtime.sampling import KEPT, RATE_SAMPLES, Sampler


class SetClock:
    """A clock that tests set."""

    at_s = 1_700_000_000.0

    def monotonic(self) -> float:
        return self.at_s

    def wall(self) -> float:
        return self.at_s


def test_levels_are_kept_for_a_quarter_of_an_hour_and_rates_are_of_the_last_minute() -> None:
    clock, seen = SetClock(), {"pending": 0.0, "published": 0.0}
    sampler = Sampler(
        clock,
        levels={"pending": lambda: seen["pending"]},
        counters={"published": lambda: seen["published"]},
    )
    assert sampler.samples().per_s == {}
    sampler.take()
    assert sampler.samples().per_s == {}, "one look is no rate"
    for number in range(KEPT + 5):
        clock.at_s += 10
        seen["pending"] = float(number)
        seen["published"] += 5 if number < KEPT else 20
        sampler.take()
    samples = sampler.samples()
    assert samples.since_ms == 1_700_000_000_000
    assert samples.levels == {"pending": [float(number) for number in range(5, KEPT + 5)]}
    assert samples.at_ms[-1] - samples.at_ms[0] == 15 * 60 * 1000
    assert (samples.over_s, RATE_SAMPLES) == (60.0, 7)
    assert samples.per_s == {"published": (5 * 20 + 5) / 60}


def test_a_counter_that_begins_anew_is_no_negative_rate() -> None:
    clock, seen = SetClock(), [7.0]
    sampler = Sampler(clock, levels={}, counters={"published": lambda: seen[0]})
    sampler.take()
    clock.at_s, seen[0] = clock.at_s + 10, 0.0
    sampler.take()
    assert sampler.samples().per_s == {"published": 0.0}
