"""What must hold for whoever watches an order: he is told what the log says, and all of it."""

from collections.abc import Iterable, Iterator

from sim.history import Told, Watching
from sim.judges.evidence import EventRow, Evidence

_LATER = (429, 503)


def streams_tell_the_log_in_order(evidence: Evidence) -> Iterator[str | None]:
    """A stream tells every event of its order once, in order, on from where the client was."""
    for one in evidence.observed.watching:
        events = evidence.streams.get(one.order_id, [])
        seen = 0
        for told in one.told:
            right = _follows(told, seen, events)
            yield None if right else f"{one.name} of {one.order_id}, seen {seen}: {_shown(told)}"
            seen = told.version if told.what == "event" else seen


def _follows(told: Told, seen: int, events: list[EventRow]) -> bool:
    match told.what:
        case "event":
            if seen >= len(events):
                return False
            row, said = events[seen], (told.event_id, told.version, told.type, told.data)
            return said == (row.id, seen + 1, f"{row.type}/v1", row.data)
        case "opened":
            return told.version == seen and (told.status == 200 or told.status in _LATER)
        case "complete":
            return seen == len(events)
        case _:
            return told.what in ("bye", "left", "no answer")


def _shown(told: Told) -> str:
    return f"{told.what} {told.version} {told.type or told.status} at {told.at:.3f} s"


def whoever_watches_sees_everything(evidence: Evidence) -> Iterator[str | None]:
    """Who keeps an order's page open has seen all of its events in the end."""
    for one in evidence.observed.watching:
        events = evidence.streams.get(one.order_id, [])
        seen = one.version
        yield None if seen == len(events) else f"{one.name}: {seen} of {len(events)} events"


def told(evidence: Evidence) -> Iterable[float]:
    """Somebody who watches was told of an event."""
    return (one.at for each in evidence.observed.watching for one in _events(each))


def _events(watching: Watching) -> Iterator[Told]:
    return (one for one in watching.told if one.what == "event")
