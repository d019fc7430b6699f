"""Takes away what does not matter: the shortest list found for which something still holds."""

from collections.abc import Callable, Sequence


def shrunk(lines: Sequence[str], still_holds: Callable[[list[str]], bool]) -> list[str]:
    """Remove parts, large ones first, as long as ``still_holds`` says yes of what is left."""
    left = list(lines)
    size = max(1, len(left) // 2)
    while True:
        start, removed = 0, False
        while start < len(left):
            candidate = left[:start] + left[start + size :]
            if candidate and still_holds(candidate):
                left, removed = candidate, True
            else:
                start += size
        if not removed or size > 1:
            if size == 1:
                return left
            size = max(1, size // 2)
