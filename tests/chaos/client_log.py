"""The history of a campaign: one append-only file, outside of every killed process.

An intent is on disk before its request leaves, an answer after it has come back.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec

from sim.history import Answered, Command, Sent, commands


class ClientLog:
    """Writes the file; every line reaches the kernel before anything else happens."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab", buffering=0)

    def write(self, entry: Sent | Answered) -> None:
        """Append one line."""
        self._file.write(msgspec.json.encode(entry) + b"\n")

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_commands(path: Path) -> list[Command]:
    """Return the commands of a client log, in the order they were first sent."""
    return commands(_entries(path))


def _entries(path: Path) -> Iterator[Sent | Answered]:
    decode = msgspec.json.Decoder(Sent | Answered).decode
    with path.open("rb") as lines:
        for line in lines:
            yield decode(line)
