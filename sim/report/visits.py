"""Who keeps an order's page open, as marks: one for each visit, with what it told him."""

from bisect import bisect_right
from collections.abc import Iterator, Sequence

from sim.history import Told, Watching
from sim.report.names import lasted, number_of
from sim.report.scene import Mark
from sim.trace import Event

_ENDS = {
    "complete": "that nothing more will come",
    "bye": "to come back, as the server stops",
}


def visit_marks(
    watching: Sequence[Watching], events: Sequence[Event], end_s: float
) -> Iterator[Mark]:
    """Yield a mark for each visit. One that nobody has seen the end of lasts until ``end_s``."""
    times = [event.at for event in events]
    for one in watching:
        for visit in _visits(one.told):
            yield _mark(number_of(one.name), visit, bisect_right(times, visit[0].at), end_s)


def _visits(told: Sequence[Told]) -> Iterator[list[Told]]:
    """Yield what belongs together: all from one attempt to open a stream to the next."""
    visit: list[Told] = []
    for one in told:
        if one.what in ("opened", "no answer") and visit:
            yield visit
            visit = []
        visit.append(one)
    if visit:
        yield visit


def _mark(number: int, visit: Sequence[Told], step: int, end_s: float) -> Mark:
    first, last = visit[0], visit[-1]
    missed = first.what == "no answer" or first.status >= 300
    versions = [one.version for one in visit if one.what == "event"]
    ends = [text for one in visit if (text := _ENDS.get(one.what))]
    heard = [f"of {_range(versions)}", *ends] if versions else ends
    until = last.at if last.what == "left" or missed else end_s
    if missed:
        said = f"is told {first.status}" if first.status else "hears nothing"
    else:
        told = f"is told {', and '.join(heard)}" if heard else "is told nothing new"
        said = f"{told}, in {lasted(until - first.at)}"
    return Mark(
        lane="client",
        shape="watch",
        at=first.at,
        step=step,
        until=until,
        torn=last.what != "left" and not missed,
        label=f"o{number} watches {_range(versions)}".rstrip(),
        text=f"Somebody who watches o{number} {said}.",
        tone="bad" if missed else "plain",
        order=number,
        story=False,
    )


def _range(versions: Sequence[int]) -> str:
    if not versions:
        return ""
    first, last = versions[0], versions[-1]
    return f"v{first}" if first == last else f"v{first}..v{last}"
