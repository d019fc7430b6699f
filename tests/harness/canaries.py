"""Looking for texts that must not be where they are not meant to be, byte by byte."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path


class Canaries:
    """Texts by name, and the files that each may be in: ``{"name": (text, ("orders.db",))}``.

    A place is the name of a file or, with a slash at its end, of a folder; a database's write-ahead
    log counts as the database.
    """

    def __init__(self, texts: Mapping[str, tuple[str, tuple[str, ...]]]) -> None:
        self._texts = {
            name: (_patterns(text), places) for name, (text, places) in texts.items() if text
        }

    def escaped(self, folder: Path) -> list[str]:
        """Return ``name: file`` for each text in a file that it may not be in."""
        found: list[str] = []
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = str(path.relative_to(folder))
                found += self.in_bytes(path.read_bytes(), name)
        return found

    def in_bytes(self, data: bytes, place: str) -> list[str]:
        """Return ``name: place`` for each text in ``data`` that may not be there."""
        return [
            f"{name}: {place}"
            for name, (pattern, places) in self._texts.items()
            if not _within(place, places) and pattern.search(data)
        ]

    def in_text(self, lines: Iterable[str], place: str) -> list[str]:
        """Do the same for text."""
        return self.in_bytes("\n".join(lines).encode(), place)

    def missing(self, folder: Path) -> list[str]:
        """Return ``name: place`` for each file that should hold a text and does not."""
        return [
            f"{name}: {place}"
            for name, (pattern, places) in self._texts.items()
            for place in places
            if not any(pattern.search(data) for data in _contents(folder, place))
        ]


def _patterns(text: str) -> re.Pattern[bytes]:
    """A text in UTF-8 or UTF-16; a short number only where it stands by itself."""
    if len(text) < 6 and text.isdigit():
        return re.compile(rb"(?<![0-9A-Za-z.])%b(?![0-9A-Za-z.])" % text.encode())
    spellings = {text}
    if text.isdigit():
        fours = [text[start : start + 4] for start in range(0, len(text), 4)]
        spellings |= {" ".join(fours), "-".join(fours)}
    encoded = [
        spelling.encode(how) for spelling in sorted(spellings) for how in ("utf8", "utf-16le")
    ]
    return re.compile(b"|".join(map(re.escape, encoded)))


def _within(name: str, places: tuple[str, ...]) -> bool:
    plain = name.removesuffix("-wal").removesuffix("-shm")
    return any(plain == place or (place[-1] == "/" and name.startswith(place)) for place in places)


def _contents(folder: Path, place: str) -> list[bytes]:
    files = sorted((folder / place).rglob("*")) if place[-1] == "/" else folder.glob(f"{place}*")
    return [path.read_bytes() for path in files if path.is_file()]
