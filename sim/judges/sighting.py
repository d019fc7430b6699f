"""When something wrong was seen: the moment in the run that a breach's sentence names.

Judges look at a run that is over, so what they find has no moment of its own. But each names what
it is about: a time, or the id of an event, an operation, a parcel. Here that is looked up in what
was observed. A sentence that names neither (something is missing, at the end) has no moment.
"""

import re
from collections.abc import Iterator
from functools import cached_property

import msgspec

from sim.judges.observed import Observed

# "at 1.500 s"; of several times ("at 1.500, 2.250 s") the second is the one that is wrong.
_TIME = re.compile(r"\bat (\d+\.\d{3})(?:, (\d+\.\d{3}))?")
_ID = re.compile(r"\b[a-z]+_[0-9A-Z]{8,}\b")
_ID_OF = {"events": "event_id", "operations": "id", "parcels": "parcel_id"}


class Moment(msgspec.Struct, frozen=True):
    """A moment of the run, in virtual seconds and as the number of the trace's event."""

    at: float
    step: int


class Sightings:
    """The moments of one run, by what a sentence may name."""

    def __init__(self, observed: Observed) -> None:
        self._observed = observed

    def moment(self, text: str) -> Moment | None:
        """Return when what ``text`` tells was seen; None where it names nothing that was."""
        for time in _TIME.finditer(text):
            seen = self._by_time.get(time[2] or time[1])
            if seen is not None:
                return seen
        named = [self._by_id[name] for name in _ID.findall(text) if name in self._by_id]
        return max(named, key=lambda moment: moment.step, default=None)

    @cached_property
    def _by_time(self) -> dict[str, Moment]:
        found: dict[str, Moment] = {}
        for moment in self._moments():
            found.setdefault(f"{moment.at:.3f}", moment)
        return found

    def _moments(self) -> Iterator[Moment]:
        seen = self._observed
        for rows in (seen.commits, seen.removals, seen.calls, seen.incidents, seen.delivered):
            yield from (Moment(row.at, row.step) for row in rows)
        for delivery in seen.delivered:
            if delivery.acked_at is not None:
                yield Moment(delivery.acked_at, delivery.acked_step)

    @cached_property
    def _by_id(self) -> dict[str, Moment]:
        return {
            commit.values[_ID_OF[commit.table]]: Moment(commit.at, commit.step)
            for commit in self._observed.commits
            if commit.table in _ID_OF and commit.verb == "insert"
        }
