"""How orders, outbox, queues and inboxes stood: before and after the violation, and at the end.

Orders, outbox and inboxes are what was committed until then. What the broker held is sampled while
the run goes on (see `sim.report.recording`), because its queues are in no file that shows them.
"""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from sim.judges.observed import Commit
from sim.report.names import SERVICE_OF, Names
from sim.report.scene import Scene

QUEUES = tuple[tuple[str, int, int], ...]
"""Each queue's name, how many messages are ready, and how many are out."""
_NAMED_MAX = 3
_MESSAGE_ID = re.compile(r"evt_\w+")


class Sample(msgspec.Struct, frozen=True):
    """What the broker held from ``step`` on; None while it was down."""

    step: int
    queues: QUEUES | None


class StateRow(msgspec.Struct, frozen=True):
    """One thing and how it stood at each of the table's moments."""

    what: str
    stood: tuple[str, ...]

    @property
    def changed(self) -> bool:
        """Whether it did not stand the same all the while."""
        return len(set(self.stood)) > 1


class States(msgspec.Struct, frozen=True):
    """The moments' names, and a row for each thing that was not empty at all of them.

    ``unchanged`` orders stood the same at every moment, and have no row.
    """

    moments: tuple[str, ...]
    rows: list[StateRow]
    unchanged: int


def states_of(
    scene: Scene, names: Names, commits: Sequence[Commit], samples: Sequence[Sample]
) -> States:
    """Return how things stood round the violation; in a run that passed, when faults ceased."""
    moments = list(_moments(scene))
    pictures = [_picture(names, commits, samples, step) for _, step in moments]
    things = dict.fromkeys(what for picture in pictures for what in picture)
    rows = [StateRow(what, tuple(one.get(what, "-") for one in pictures)) for what in things]
    focus = f"order o{scene.focus_order}"
    shown = [row for row in rows if row.changed or row.what == focus or "order o" not in row.what]
    shown.sort(key=lambda row: row.what != focus)
    return States(tuple(name for name, _ in moments), shown, len(rows) - len(shown))


def _moments(scene: Scene) -> Iterator[tuple[str, int]]:
    if scene.focus_step:
        yield f"before step {scene.focus_step}", scene.focus_step - 1
        yield "after it", scene.focus_step
    else:
        heal = next((phase for phase in scene.phases if phase.name == "heal"), None)
        if heal is not None:
            yield "when faults ceased", heal.step
    stop = next((phase for phase in scene.phases if phase.name == "stop"), None)
    if stop is None or stop.step < scene.focus_step:
        yield "at the end", scene.events
    else:
        yield "before the stop", stop.step


def _picture(
    names: Names, commits: Sequence[Commit], samples: Sequence[Sample], step: int
) -> Mapping[str, str]:
    """Return how each thing stood after a step of the trace, by name."""
    until = [commit for commit in commits if commit.step <= step]
    return {**_orders(names, until), **_outbox(names, until), **_inboxes(until),
            **_queues(samples, step)}  # fmt: skip


def _orders(names: Names, commits: Sequence[Commit]) -> dict[str, str]:
    found = {}
    for commit in commits:
        if commit.table == "events" and commit.verb == "insert":
            number = names.order(commit.values["stream"])
            found[number] = f"v{commit.values['version']} {commit.values['type']}"
    return {f"order o{number}": stood for number, stood in sorted(found.items()) if number}


def _outbox(names: Names, commits: Sequence[Commit]) -> dict[str, str]:
    waiting: dict[tuple[str, int], str] = {}
    for commit in commits:
        if commit.table == "outbox" and commit.verb == "insert":
            waiting[commit.node, commit.row_id] = _told(names, commit.values["properties"])
        elif commit.table == "outbox" and commit.verb == "delete":
            waiting.pop((commit.node, commit.where["position"]), None)
    if not waiting:
        return {}
    first = ", ".join(list(waiting.values())[:_NAMED_MAX])
    more = f" and {len(waiting) - _NAMED_MAX} more" if len(waiting) > _NAMED_MAX else ""
    return {"outbox": f"{len(waiting)}: {first}{more}"}


def _told(names: Names, properties: str | bytes) -> str:
    text = properties if isinstance(properties, str) else properties.decode()
    found = _MESSAGE_ID.search(text)
    told = names.message(found[0] if found else "a message")
    return f"{told.type} of o{told.order}" if told.order else told.type


def _inboxes(commits: Sequence[Commit]) -> dict[str, str]:
    states: dict[tuple[str, str], str] = {}
    for commit in commits:
        service = SERVICE_OF.get(commit.database.rpartition("/")[2])
        message_id = commit.values.get("message_id") or commit.where.get("message_id")
        if commit.table != "inbox" or service is None or not message_id:
            continue
        if commit.verb == "delete":
            states.pop((service, message_id), None)
        elif "state" in commit.values:
            states[service, message_id] = commit.values["state"]
    found: dict[str, Counter[str]] = {}
    for (service, _), state in states.items():
        if state != "done":
            found.setdefault(service, Counter())[state] += 1
    return {
        f"inbox of {service}": ", ".join(f"{count} {state}" for state, count in counts.items())
        for service, counts in found.items()
    }


def _queues(samples: Sequence[Sample], step: int) -> dict[str, str]:
    at = bisect_right([sample.step for sample in samples], step)
    held = samples[at - 1].queues if at else ()
    if held is None:
        return {"broker": "down"}
    return {
        f"queue {name}": f"{ready} ready, {out} out" for name, ready, out in held if ready or out
    }
