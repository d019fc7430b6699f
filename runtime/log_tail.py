"""The latest log lines of each place in a supervision tree, for who looks after the system.

Its law: what is kept is what was logged - the same fields, redacted in the same way - and how much
is bounded, for each place and altogether. A line belongs to the place whose task logged it: the
supervisor names the place (`at`), and tasks that are begun there inherit it.
"""

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec

LINES_KEPT = 50
PLACES_MAX = 256

_PLACE: ContextVar[str] = ContextVar("place", default="")


class LogLine(msgspec.Struct, frozen=True):
    """One line: when (Unix time), how bad, what, in which place, and with which fields."""

    at_ms: int
    level: str
    event: str
    place: str
    fields: dict[str, str]


@contextmanager
def at(path: str) -> Iterator[None]:
    """Have what is logged in the block, and in tasks begun in it, belong to the place ``path``."""
    before = _PLACE.set(path)
    try:
        yield
    finally:
        _PLACE.reset(before)


class LogTail:
    """The last `LINES_KEPT` lines of each place."""

    def __init__(self) -> None:
        self._lines: dict[str, deque[tuple[int, LogLine]]] = {}
        self._count = 0

    def add(self, at_s: float, level: str, event: str, fields: Mapping[str, object]) -> None:
        """Keep a line; ``fields`` are safe to print already."""
        place = _PLACE.get()
        kept = self._lines.get(place)
        if kept is None:
            if len(self._lines) >= PLACES_MAX:
                return
            kept = self._lines[place] = deque(maxlen=LINES_KEPT)
        self._count += 1
        shown = {name: _text(value) for name, value in fields.items()}
        kept.append((self._count, LogLine(int(at_s * 1000), level, event, place, shown)))

    def of(self, path: str, most: int = LINES_KEPT) -> list[LogLine]:
        """Return the latest lines of a place and of everybody below it, oldest first.

        What was logged outside of every place is the process's, hence the root's.
        """
        below = f"{path}/"
        found = [
            line
            for place, lines in self._lines.items()
            if place == path or place.startswith(below) or (not place and "/" not in path)
            for line in lines
        ]
        found.sort(key=lambda line: line[0])
        return [line for _, line in found[-most:]]


def _text(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
