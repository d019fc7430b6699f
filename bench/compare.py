"""Two runs side by side."""

import msgspec

from bench.case import Role
from bench.results import Results
from bench.sample import Spread, spread

SAME, FASTER, SLOWER = "same", "faster", "slower"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """The CPU time of one contender's operation, before and after, in microseconds."""

    case: str
    contender: str
    role: Role
    before: Spread
    after: Spread

    @property
    def percent(self) -> float:
        """How much longer it takes now; negative where it is faster."""
        return 100 * (self.after.median / self.before.median - 1)

    @property
    def verdict(self) -> str:
        """``same`` where the rounds of both overlap: then the difference may be chance."""
        if self.after.low > self.before.high:
            return SLOWER
        return FASTER if self.after.high < self.before.low else SAME

    def line(self) -> str:
        """Return the change in one line."""
        both = f"{self.before.median:10.4g} -> {self.after.median:10.4g} us"
        return f"{self.case:<9} {self.contender:<24} {both}  {self.percent:+6.1f} %  {self.verdict}"


def changes(older: Results, newer: Results) -> list[Change]:
    """Return what changed for every contender that is in both."""
    return [
        Change(
            case=name,
            contender=contender,
            role=result.role,
            before=spread(older.samples(name, contender), "cpu_us"),
            after=spread(result.samples, "cpu_us"),
        )
        for name, case in newer.cases.items()
        for contender, result in case.contenders.items()
        if older.samples(name, contender)
    ]
