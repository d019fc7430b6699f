"""Traces as files: one event a line, as JSON arrays (see `sim.trace.Event` for the columns)."""

from collections.abc import Iterable, Iterator
from itertools import zip_longest
from pathlib import Path

import msgspec

from sim.trace import Event

_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(Event)


class Divergence(msgspec.Struct, frozen=True):
    """Where two traces part: the last event they share, then what each goes on with (None: ends).

    ``hidden``: both events look the same, and what differs is the scheduler's steps before them.
    """

    shared: Event | None
    one: Event | None
    other: Event | None

    @property
    def step(self) -> int:
        """The number of the first event that differs."""
        return 1 if self.shared is None else self.shared.step + 1

    @property
    def hidden(self) -> bool:
        """See the class."""
        return (
            self.one is not None and self.other is not None and show(self.one) == show(self.other)
        )

    def lines(self, one: str, other: str) -> list[str]:
        """Say it; ``one`` and ``other`` name the two sides."""
        width = max(len(one), len(other))
        last = "the beginning" if self.shared is None else show(self.shared)
        found = [f"first difference at step {self.step}, after {last}"]
        for name, event in ((one, self.one), (other, self.other)):
            found.append(f"  {name:<{width}}  {'(ends here)' if event is None else show(event)}")
        if self.hidden:
            found.append("  the same event, but the scheduler came to it by other steps")
        return found


def show(event: Event) -> str:
    """Return an event as one line for people."""
    facts = " ".join(_fact(fact) for fact in event.facts)
    return f"{event.step:>6}  t=+{event.at:.6f}s  {event.kind} {facts}"


def _fact(fact: object) -> str:
    return fact.hex() if isinstance(fact, bytes) else str(fact)


def write_trace(path: Path, events: Iterable[Event]) -> None:
    """Write a trace."""
    with path.open("wb") as file:
        for event in events:
            file.write(_encode(event) + b"\n")


def read_trace(path: Path) -> Iterator[Event]:
    """Read a trace; msgspec.DecodeError where a line is none."""
    with path.open("rb") as file:
        for line in file:
            yield _decoder.decode(line)


def first_difference(one: Iterable[Event], other: Iterable[Event]) -> Divergence | None:
    """Compare two traces, event by event."""
    shared: Event | None = None
    for left, right in zip_longest(one, other):
        if left != right:
            return Divergence(shared, left, right)
        shared = left
    return None
