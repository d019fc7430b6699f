"""One line a property: held, broken, or never looked at; and what it claims."""

from collections import Counter

import msgspec

from sim.judges.table import CLAIMS
from sim.report.names import lasted
from sim.report.result import Report


class Verdict(msgspec.Struct, frozen=True):
    """One property. ``cases``: how many it was evaluated on, as text; ``mark`` is its style.

    ``after``: of a claim of liveness, how long after the faults the last of it was done, as text.
    """

    name: str
    word: str
    mark: str
    cases: str
    claim: str
    after: str = ""


class Group(msgspec.Struct, frozen=True):
    """Properties of one kind: those that were broken first, those without a case last."""

    title: str
    verdicts: list[Verdict]

    @property
    def sums(self) -> str:
        """How many of each word there are, as text."""
        words = Counter(verdict.word for verdict in self.verdicts)
        told = (("FAIL", "broken"), ("ok", "held"), ("-", "without a case"))
        return ", ".join(f"{words[word]} {what}" for word, what in told if words[word])


def claims() -> dict[str, str]:
    """Return what each property claims, by name."""
    return {claim.name: claim.text for claim in CLAIMS}


def verdicts_of(report: Report) -> list[Group]:
    """Return the properties that the run was judged by, safety before liveness."""
    live = {claim.name for claim in CLAIMS if claim.liveness}
    live |= {found.name for found in report.violations if found.kind == "liveness"}
    names = {**report.cases, **dict.fromkeys(found.name for found in report.violations)}
    groups = []
    for title, wanted in (("safety", False), ("liveness", True)):
        rows = [_verdict(report, name) for name in sorted(names) if (name in live) == wanted]
        rows.sort(key=lambda row: ("FAIL", "ok", "-").index(row.word))
        groups.append(Group(title, rows))
    return [group for group in groups if group.verdicts]


def _verdict(report: Report, name: str) -> Verdict:
    cases, claim = report.cases.get(name, 0), claims().get(name, "")
    broken = [found for found in report.violations if found.name == name]
    if broken:
        times = f"{len(broken)}x" if len(broken) > 1 else ""
        return Verdict(name, "FAIL", "no", times, broken[0].claim)
    if cases:
        return Verdict(name, "ok", "ok", f"{cases}x", claim, _after(report, name))
    return Verdict(name, "-", "never", "no case", claim)


def _after(report: Report, name: str) -> str:
    seconds = report.after_heal.get(name)
    if seconds is None:
        return ""
    return f"max {lasted(seconds)} after heal" if seconds else "done before heal"
