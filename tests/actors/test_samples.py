"""How much a counter has grown within the last hour, as it is looked at now and then."""

from actors.samples import HOUR_S, LastHour


class SetClock:
    """A clock that tests set."""

    at_s = 5_000.0

    def monotonic(self) -> float:
        return self.at_s

    def wall(self) -> float:
        return self.at_s


def test_what_is_older_than_an_hour_is_not_counted_any_more() -> None:
    clock, seen = SetClock(), [7.0]
    lately = LastHour(clock, lambda: seen[0])
    assert lately() == 0, "what was before belongs to nobody's hour"
    seen[0] += 2
    assert lately() == 2
    for _ in range(30 * 6):
        clock.at_s += 10
        lately()
    seen[0] += 1
    assert lately() == 3
    for _ in range(30 * 6 - 1):
        clock.at_s += 10
        assert lately() == 3
    for _ in range(7):
        clock.at_s += 10
        lately()
    assert lately() == 1, "the first two are over an hour ago"
    for _ in range(30 * 6):
        clock.at_s += 10
        lately()
    assert lately() == 0


def test_it_remembers_an_hour_however_often_it_is_asked() -> None:
    clock, asked = SetClock(), 0.0
    lately = LastHour(clock, lambda: asked)
    for _ in range(3 * int(HOUR_S)):
        clock.at_s += 1
        asked += 1
        lately()
    assert HOUR_S <= lately() <= HOUR_S + 60
