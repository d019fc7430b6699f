"""The inboxes' histories, made again from what was committed to them."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal

import msgspec

from sim.judges.observed import Commit, Observed

Kind = Literal["claim", "work", "hold", "step", "settle"]
_OLDER_THAN = "updated_at_ms <"


class Entry(msgspec.Struct, frozen=True):
    """One change of an inbox row.

    ``claim``: somebody took it. ``work``: somebody took it from the hold. ``hold``: it waits there.
    ``step``: a step was noted. ``settle``: it is done, requeued or parked. ``worker`` is the
    incarnation that did it, by the id that the service gives itself; ``life`` the process's number.
    ``at_ms`` is the row's own time, by the wall clock of whoever wrote it.
    """

    at: float
    step: int
    node: str
    life: int
    message_id: str
    kind: Kind
    state: str
    worker: str
    certain: bool
    at_ms: int = 0


class Inbox:
    """One service's inbox: every change in order, and each message's changes.

    ``forgot``: when rows of messages that were done long ago were removed, and before which wall
    time those had to be done. Rows that are removed in any other way are not forgotten but lost.
    """

    def __init__(self) -> None:
        self.forgot: list[tuple[float, int]] = []
        self.entries: list[Entry] = []
        self.by_message: dict[str, list[Entry]] = {}

    def add(self, entry: Entry) -> None:
        """Append a change."""
        self.entries.append(entry)
        self.by_message.setdefault(entry.message_id, []).append(entry)

    def state(self, message_id: str, at: float) -> str | None:
        """Return a message's state at a time; None where it has no row."""
        entries = self.by_message.get(message_id, [])
        place = bisect_right(entries, at, key=lambda entry: entry.at)
        return entries[place - 1].state if place else None

    def forgot_until(self, done: Entry, until: float) -> bool:
        """Whether the row of a message that was done was removed for its age by then."""
        return any(
            done.at <= at <= until and done.at_ms < before_ms for at, before_ms in self.forgot
        )

    def forgotten(self) -> set[str]:
        """Return the messages whose rows may be gone for their age.

        Also where a power cut leaves it open whether one was done: had that been lost, the row
        would be there still, as it was before, and what is there is asked first.
        """
        return {
            one.message_id
            for one, _ in self.settled("done")
            if self.forgot_until(one, float("inf"))
        }

    def settled(self, state: str) -> Iterator[tuple[Entry, Entry]]:
        """Yield each settling with this state, and the claim before it."""
        for entries in self.by_message.values():
            begun: Entry | None = None
            for entry in entries:
                if entry.kind in ("claim", "work"):
                    begun = entry
                elif entry.kind == "settle" and entry.state == state:
                    yield entry, begun or entry


def inboxes(observed: Observed) -> dict[str, Inbox]:
    """Return the inbox of each service that has one."""
    found: dict[str, Inbox] = {}
    last: dict[tuple[str, str], str] = {}
    for commit in observed.commits:
        service = commit.database.removesuffix(".db")
        if commit.table == "inbox" and commit.verb == "delete" and commit.rows:
            before_ms = commit.where.get(_OLDER_THAN, 0)
            found.setdefault(service, Inbox()).forgot.append((commit.at, before_ms))
        elif commit.table == "inbox" and commit.verb != "delete":
            entry = _entry(service, commit, last)
            last[service, entry.message_id] = entry.state
            found.setdefault(service, Inbox()).add(entry)
    return found


def _entry(service: str, commit: Commit, last: dict[tuple[str, str], str]) -> Entry:
    values, where = commit.values, commit.where
    message_id = values.get("message_id") or where.get("message_id", "")
    state = values.get("state") or last.get((service, message_id), "")
    worker = where.get("incarnation") or values.get("incarnation", "")
    kind: Kind
    if commit.verb == "insert" or values.get("state") == "claimed":
        kind = "claim"
    elif state == "held":
        kind = "work" if values.get("incarnation") else "hold"
        if "steps" in values:
            kind = "step"
    else:
        kind = "settle" if "state" in values else "step"
    return Entry(
        at=commit.at,
        step=commit.step,
        node=commit.node,
        life=commit.incarnation,
        message_id=message_id,
        kind=kind,
        state=state,
        worker=worker,
        certain=commit.certain,
        at_ms=values.get("updated_at_ms", 0),
    )
