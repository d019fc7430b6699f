"""Judges what a run has left, by ledgers alone: what clients asked and were told, the books of the
outside parties, the mails, the log, the broker.

An invariant is a function whose docstring is the claim. It goes through its cases and yields None
for each that holds and a sentence for each that does not. One that found no case at all has proved
nothing, and makes the run red like a breach.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from sim.judges.evidence import Evidence
from sim.judges.table import CLAIMS, Invariant

INVARIANTS: tuple[Invariant, ...] = tuple(claim.judge for claim in CLAIMS if not claim.seen)
"""Those that need no witness: the ledgers alone decide."""


class Finding(msgspec.Struct, frozen=True):
    """How one invariant fared: its claim, how many cases it looked at, and what broke it."""

    name: str
    claim: str
    cases: int
    breaches: list[str]

    @property
    def green(self) -> bool:
        """Whether it was evaluated, and held in every case."""
        return self.cases > 0 and not self.breaches


def check(evidence: Evidence, invariants: Sequence[Invariant] = INVARIANTS) -> list[Finding]:
    """Evaluate every invariant."""
    findings = []
    for invariant in invariants:
        verdicts = Counter(_verdicts(invariant, evidence))
        breaches = sorted(verdict for verdict in verdicts if verdict is not None)
        claim = " ".join((invariant.__doc__ or "").split())
        findings.append(Finding(invariant.__name__, claim, verdicts.total(), breaches))
    return findings


def _verdicts(invariant: Invariant, evidence: Evidence) -> Iterator[str | None]:
    """Evidence that cannot even be judged is evidence of a breach."""
    try:
        yield from invariant(evidence)
    except (LookupError, TypeError, ValueError, AssertionError) as error:
        yield f"cannot be judged: {error!r}"


def report(findings: Sequence[Finding], breaches_max: int = 5) -> str:
    """Return one line an invariant, and under each broken one the first things that broke it."""
    lines = []
    for finding in findings:
        word = "ok" if finding.green else "BROKEN" if finding.breaches else "NEVER EVALUATED"
        lines.append(f"{word:<16}{finding.cases:>7}  {finding.name}")
        if not finding.green:
            lines.append(f"{'':<25}{finding.claim}")
        lines += [f"{'':<25}- {breach}" for breach in finding.breaches[:breaches_max]]
        if len(finding.breaches) > breaches_max:
            lines.append(f"{'':<25}- and {len(finding.breaches) - breaches_max} more")
    return "\n".join(lines)
