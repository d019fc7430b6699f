"""What happened in a run, in order, and a hash of all of it.

The law: same seed, same events, same bytes, same hash - in any process, whatever its hash seed,
time zone or log level. So an event holds numbers, text and bytes that follow from the run alone,
never a ``repr`` of an object, never an exception's text, never an address.

Between two events the scheduler folds every step it takes into `Trace.mix`, which the next event
takes in: two runs that differ in a single step differ in their hash from there on.
"""

import hashlib
from collections.abc import Callable
from typing import Any

import msgspec

_LINES_MAX = 512
_encode = msgspec.msgpack.Encoder().encode


class Event(msgspec.Struct, frozen=True, array_like=True):
    """One line: ``at`` virtual seconds, what kind, and its facts.

    ``mix`` stands for every step of the scheduler before it.
    """

    step: int
    at: float
    kind: str
    facts: tuple[Any, ...]
    mix: int = 0


class Trace:
    """Append-only. ``keep`` holds the events too; without it only the hash goes on.

    ``watch``, if it is set, is shown each event that is kept.
    """

    __slots__ = ("_hash", "_keep", "_lines", "count", "events", "mix", "watch")

    def __init__(self, *, keep: bool = True) -> None:
        self.mix = 0
        self.count = 0
        self.events: list[Event] = []
        self.watch: Callable[[Event], None] | None = None
        self._keep = keep
        self._lines: list[tuple[float, str, int, tuple[str | float | bytes, ...]]] = []
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, at: float, kind: str, *facts: str | float | bytes) -> None:
        """Append an event."""
        self.count += 1
        self._lines.append((at, kind, self.mix, facts))
        if self._keep:
            event = Event(self.count, at, kind, facts, self.mix)
            self.events.append(event)
            if self.watch is not None:
                self.watch(event)
        if len(self._lines) >= _LINES_MAX:
            self._take_in()

    def digest(self) -> str:
        """Return the hash so far, in hex."""
        self._take_in()
        return self._hash.copy().hexdigest()

    def _take_in(self) -> None:
        # All at once, because encoding one event at a time would cost more than the rest of `note`.
        # The marks between them keep the hash independent of where the batches end.
        self._hash.update(b"".join([_encode(line) + b"\n" for line in self._lines]))
        self._lines.clear()
