"""What a run says while it lasts: one line a round, on standard error."""

import sys
from collections.abc import Callable


class Progress:
    """Writes finished lines; ``write`` takes one without its end."""

    def __init__(self, write: Callable[[str], None] | None = None) -> None:
        self._write = write or _to_stderr

    @classmethod
    def silent(cls) -> "Progress":
        """Return one that says nothing."""
        return cls(lambda _line: None)

    def say(self, line: str) -> None:
        """Write a line."""
        self._write(line)

    def round(self, case: str, number: int, of: int, contender: str, seconds: float) -> None:
        """Say that a round has ended, and how long it took with all that it prepared."""
        self._write(f"{case:<9} {number}/{of}  {contender:<24} {seconds:6.1f} s")


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
