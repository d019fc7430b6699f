"""What happened in a run, in order, and a hash of all of it.

The law: same seed, same events, same bytes, same hash - in any process, whatever its hash seed,
time zone or log level. So an event holds numbers, text and bytes that follow from the run alone,
never a ``repr`` of an object, never an exception's text, never an address.

Between two events the scheduler folds every step it takes into `Trace.mix`, which the next event
takes in: two runs that differ in a single step differ in their hash from there on.
"""

import hashlib
from typing import Any

import msgspec


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One line: ``at`` virtual seconds, what kind, and its facts."""

    step: int
    at: float
    kind: str
    facts: tuple[Any, ...]


class Trace:
    """Append-only. ``keep`` holds the events too; without it only the hash goes on."""

    __slots__ = ("_hash", "_keep", "count", "events", "mix")

    def __init__(self, *, keep: bool = True) -> None:
        self.mix = 0
        self.count = 0
        self.events: list[Event] = []
        self._keep = keep
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, at: float, kind: str, *facts: str | float | bytes) -> None:
        """Append an event."""
        self.count += 1
        line = f"{at:.9f}\x1f{kind}\x1f{self.mix}\x1f" + "\x1f".join(map(str, facts)) + "\n"
        self._hash.update(line.encode())
        if self._keep:
            self.events.append(Event(self.count, at, kind, facts))

    def digest(self) -> str:
        """Return the hash so far, in hex."""
        return self._hash.hexdigest()
