"""Delta debugging: a small part of a list that still shows the failure (Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input", 2002).

Tests are not made here: `minimise` yields rounds of candidates, most promising first, and is told
which of them failed. So whoever asks may run a round on all cores.
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

T = TypeVar("T")
Parts = tuple[T, ...]


def minimise(items: Sequence[T]) -> Generator[list[Parts[T]], Parts[T] | None, Parts[T]]:
    """Yield rounds of candidates; send the first that still fails, or None; return the smallest.

    The result is 1-minimal as far as it was asked: without any one of its items nothing failed.
    """
    kept: Parts[T] = tuple(items)
    if kept and (yield [()]) is not None:
        return ()
    pieces = 2
    while len(kept) > 1:
        parts = _split(kept, pieces)
        rest = [_without(parts, at) for at in range(len(parts))]
        failed = yield _distinct([*parts, *rest], kept)
        if failed is None:
            if pieces >= len(kept):
                break
            pieces = min(len(kept), pieces * 2)
        else:
            pieces = 2 if failed in parts else max(2, pieces - 1)
            kept = failed
            pieces = min(pieces, max(2, len(kept)))
    return kept


def _split(items: Parts[T], pieces: int) -> list[Parts[T]]:
    size, larger = divmod(len(items), pieces)
    parts, at = [], 0
    for number in range(pieces):
        end = at + size + (number < larger)
        parts.append(items[at:end])
        at = end
    return [part for part in parts if part]


def _without(parts: list[Parts[T]], at: int) -> Parts[T]:
    return tuple(item for number, part in enumerate(parts) if number != at for item in part)


def _distinct(candidates: list[Parts[T]], whole: Parts[T]) -> list[Parts[T]]:
    """Leave out the whole, nothing at all, and repetitions (one half is the other's rest)."""
    found: list[Parts[T]] = []
    for candidate in candidates:
        if candidate and candidate != whole and candidate not in found:
            found.append(candidate)
    return found
