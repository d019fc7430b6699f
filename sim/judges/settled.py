"""When what is owed was done: the moments at which a liveness claim's obligations were met.

A claim that must hold in the end says nothing of how long that took. These do, in virtual seconds,
from what was observed; the longest one after faults had ceased stands beside the claim.
"""

from collections.abc import Callable, Iterable, Iterator

from sim.judges.evidence import Evidence
from sim.judges.observed import Commit

Moments = Callable[[Evidence], Iterable[float]]


def stated(*types: str) -> Moments:
    """Events of these types were committed; any event, if none is named."""

    def moments(evidence: Evidence) -> Iterator[float]:
        for commit in _commits(evidence, "events"):
            if not types or commit.values["type"] in types:
                yield commit.at

    return moments


def changed(table: str) -> Moments:
    """Rows of a table were written or removed."""
    return lambda evidence: (commit.at for commit in _commits(evidence, table))


def done(evidence: Evidence) -> Iterator[float]:
    """A service was done with a message (which takes it out of a hold, too)."""
    for commit in _commits(evidence, "inbox"):
        if commit.values.get("state") == "done":
            yield commit.at


def sent_off(evidence: Evidence) -> Iterator[float]:
    """A message left the outbox."""
    return (removal.at for removal in evidence.observed.removals)


def acked(evidence: Evidence) -> Iterator[float]:
    """A delivery was acknowledged."""
    for delivery in evidence.observed.delivered:
        if delivery.acked_at is not None:
            yield delivery.acked_at


def answered(evidence: Evidence) -> Iterator[float]:
    """A customer was told for the first time what became of a command."""
    for command in evidence.commands:
        if command.definite:
            yield command.definite[0].at


def longest_after(moments: Iterable[float], healed_at: float, rested_at: float) -> float:
    """Return the seconds from the healing to the last moment before everything was at rest.

    0 where nothing was owed any more.

    >>> longest_after([3.0, 12.5, 14.0, 99.0], 10.0, 60.0)
    4.0
    """
    owed = [at for at in moments if healed_at < at <= rested_at]
    return round(max(owed, default=healed_at) - healed_at, 6)


def _commits(evidence: Evidence, table: str) -> Iterator[Commit]:
    return (commit for commit in evidence.observed.commits if commit.table == table)
