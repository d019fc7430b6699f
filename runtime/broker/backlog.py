"""What is ready in a queue, in the order in which it will be handed out.

Three orders, as in RabbitMQ 3.10: a classic queue gives everything its old place back; one with
priorities does so within each of them; a quorum queue serves what came back before everything else.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heappop, heappush
from typing import Protocol

from runtime.broker.entry import Entry


class Backlog(Protocol):
    """Ready entries."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __iter__(self) -> Iterator[Entry]:
        """All of them, in order; nothing changes."""
        ...

    def head(self) -> Entry | None:
        """The next one."""
        ...

    def take(self) -> Entry:
        """Remove the next one; there must be one."""
        ...

    def append(self, entry: Entry) -> None:
        """Add a new one."""
        ...

    def put_back(self, entry: Entry) -> None:
        """Add one that was out."""
        ...


class ByPosition:
    """What comes back takes its old place.

    Entries go out in order, so what is back is always in front of what was never out.
    """

    __slots__ = ("_back", "_fresh")

    def __init__(self) -> None:
        self._fresh: deque[Entry] = deque()
        self._back: list[Entry] = []

    def __len__(self) -> int:
        return len(self._fresh) + len(self._back)

    def __iter__(self) -> Iterator[Entry]:
        yield from sorted(self._back)
        yield from self._fresh

    def head(self) -> Entry | None:
        """The next one."""
        if self._back:
            return self._back[0]
        return self._fresh[0] if self._fresh else None

    def take(self) -> Entry:
        """Remove the next one."""
        return heappop(self._back) if self._back else self._fresh.popleft()

    def append(self, entry: Entry) -> None:
        """Add a new one."""
        self._fresh.append(entry)

    def put_back(self, entry: Entry) -> None:
        """Give one its old place."""
        heappush(self._back, entry)


class ByPriority:
    """Higher priorities first; within one, what comes back takes its old place."""

    __slots__ = ("_levels",)

    def __init__(self, priority_max: int) -> None:
        self._levels = [ByPosition() for _ in range(priority_max + 1)]

    def __len__(self) -> int:
        return sum(map(len, self._levels))

    def __iter__(self) -> Iterator[Entry]:
        for level in reversed(self._levels):
            yield from level

    def head(self) -> Entry | None:
        """The next one."""
        for level in reversed(self._levels):
            if level:
                return level.head()
        return None

    def take(self) -> Entry:
        """Remove the next one."""
        return next(level for level in reversed(self._levels) if level).take()

    def append(self, entry: Entry) -> None:
        """Add a new one."""
        self._level(entry).append(entry)

    def put_back(self, entry: Entry) -> None:
        """Give one its old place."""
        self._level(entry).put_back(entry)

    def _level(self, entry: Entry) -> ByPosition:
        return self._levels[min(entry.message.priority, len(self._levels) - 1)]


class ReturnsFirst:
    """What came back is served first, in the order of its return."""

    __slots__ = ("_back", "_fresh")

    def __init__(self) -> None:
        self._fresh: deque[Entry] = deque()
        self._back: deque[Entry] = deque()

    def __len__(self) -> int:
        return len(self._fresh) + len(self._back)

    def __iter__(self) -> Iterator[Entry]:
        yield from self._back
        yield from self._fresh

    def head(self) -> Entry | None:
        """The next one."""
        if self._back:
            return self._back[0]
        return self._fresh[0] if self._fresh else None

    def take(self) -> Entry:
        """Remove the next one."""
        return self._back.popleft() if self._back else self._fresh.popleft()

    def append(self, entry: Entry) -> None:
        """Add a new one."""
        self._fresh.append(entry)

    def put_back(self, entry: Entry) -> None:
        """Add one behind those that came back before."""
        self._back.append(entry)
