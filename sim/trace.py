"""What happened in a run, in order, and a hash of all of it.

The law: same seed, same events, same bytes, same hash - in any process, whatever its hash seed,
time zone or log level. So an event holds numbers, text and bytes that follow from the run alone,
never a ``repr`` of an object, never an exception's text, never an address.

The steps that the scheduler takes between two events are taken in as well: two runs that differ in
a single step differ in their hash from there on.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import msgspec

_LINES_MAX = 4096
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

    ``ran`` is told of each step: the number of the task that took it, or the callback's name.
    ``watch``, if it is set, is shown each event that is kept.
    """

    __slots__ = ("_hash", "_keep", "_lines", "_mix", "_mixed", "count", "events", "ran", "watch")

    def __init__(self, *, keep: bool = True) -> None:
        self.count = 0
        self.events: list[Event] = []
        self.watch: Callable[[Event], None] | None = None
        self._keep = keep
        self._lines: list[int | str | tuple[float, str, tuple[str | float | bytes, ...]]] = []
        self.ran: Callable[[int | str], None] = self._lines.append
        self._mix = self._mixed = 0
        self._hash = hashlib.blake2b(digest_size=16)

    def note(self, at: float, kind: str, *facts: str | float | bytes) -> None:
        """Append an event."""
        self.count += 1
        lines = self._lines
        if self._keep:
            self._hold(Event(self.count, at, kind, facts, self._mix_in(lines[self._mixed :])))
        lines.append((at, kind, facts))
        self._mixed = len(lines)
        if self._mixed >= _LINES_MAX:
            # All at once, because encoding one by one would cost more than the rest of `note`.
            self._hash.update(_encode(lines))
            lines.clear()
            self._mixed = 0

    def digest(self) -> str:
        """Return the hash so far, in hex."""
        hash_ = self._hash.copy()
        hash_.update(_encode(self._lines))
        return hash_.hexdigest()

    def _mix_in(self, steps: Sequence[object]) -> int:
        self._mix = crc32(_encode(steps), self._mix)
        return self._mix

    def _hold(self, event: Event) -> None:
        self.events.append(event)
        if self.watch is not None:
            self.watch(event)
