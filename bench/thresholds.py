"""Limits given on the command line: ``p99 < 50ms``, ``errors == 0``, ``rate >= 400``."""

import operator
import re
from collections.abc import Callable
from typing import Self

import msgspec

from bench.results import Results
from bench.sample import Latency, Spread, spread
from runtime.errors import ConfigurationError

_OPERATORS: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
METRICS = ("rate", "cpu_us", "memory_mib", "errors", *Latency.__struct_fields__)
_FORM = re.compile(r"\s*([a-z_0-9]+)\s*(<=|>=|==|<|>)\s*([0-9.]+)\s*(us|ms|s)?\s*")
_MS = {"us": 0.001, "ms": 1.0, "s": 1000.0}


class Held(msgspec.Struct, frozen=True):
    """Whether the limit held in every case, and the lines that say so."""

    holds: bool
    lines: list[str]


class Threshold(msgspec.Struct, frozen=True):
    """One limit on the median of a figure of ordermill's own contenders."""

    text: str
    metric: str
    comparison: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a limit; `ConfigurationError` for what is none. Times are kept in milliseconds.

        >>> Threshold.parse("p99 < 0.05s").bound
        50.0
        """
        found = _FORM.fullmatch(text)
        if found is None or found[1] not in METRICS:
            raise ConfigurationError(
                f"--threshold {text!r} is not of the form 'p99 < 50ms'",
                hint=f"one of {', '.join(METRICS)}; one of {', '.join(_OPERATORS)}; a number",
            )
        metric, comparison, bound, unit = found.groups()
        timed = metric in Latency.__struct_fields__
        if timed != (unit is not None):
            raise ConfigurationError(
                f"--threshold {text!r}: {metric} {'needs a unit' if timed else 'has no unit'}",
                hint="p99 < 50ms" if timed else f"{metric} {comparison} {bound}",
            )
        return cls(text, metric, comparison, float(bound) * _MS.get(unit or "", 1.0))

    def judge(self, results: Results) -> Held:
        """Hold the limit against each case's first contender of our own that has the figure."""
        lines, holds = [], True
        for name, case in results.cases.items():
            ours = [one.samples for one in case.contenders.values() if one.role == "ours"]
            if not ours or (self.metric in Latency.__struct_fields__ and not ours[0][0].latency):
                continue
            measured: Spread = spread(ours[0], self.metric)
            met = _OPERATORS[self.comparison](measured.median, self.bound)
            holds = holds and met
            found = f"{measured.median:.4g} ({measured.low:.4g} .. {measured.high:.4g})"
            lines.append(f"  {'ok' if met else 'FAILED':<7} {name}: {self.text}  measured {found}")
        if not lines:
            return Held(False, [f"  FAILED  {self.text}: nothing here has that figure"])
        return Held(holds, lines)
