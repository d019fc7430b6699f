"""Whom a full quorum queue refuses (``reject-publish``; RabbitMQ's rabbit_fifo.erl).

A sender is told when the queue is over its limit, and told again only when it has fallen to four
fifths of it. So a queue may take one message too many, and refuse where there is room again.
"""

SOFT_LIMIT = 0.8


class Refusals:
    """The senders of one queue, and what they have been told. Counts are (messages, bytes)."""

    def __init__(self, length_max: int | None, bytes_max: int | None) -> None:
        self._limits = (length_max, bytes_max)
        self._refused: dict[object, bool] = {}
        self._warned: dict[object, None] = {}

    def refuses(self, sender: object, length: int, size: int) -> bool:
        """Whether this sender is refused; a new one is told at once how things are."""
        if sender not in self._refused:
            self._refused[sender] = self._is_over(length, size)
        return self._refused[sender]

    def update(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        """The counts have changed: tell the senders."""
        if self._is_over(*after):
            for sender in self._refused:
                if sender not in self._warned:
                    self._warned[sender] = None
                    self._refused[sender] = True
        elif not self._is_low(*before) and self._is_low(*after):
            self._warned.clear()
            self._refused = dict.fromkeys(self._refused, False)

    def forget(self, sender: object) -> None:
        """This sender is gone."""
        self._refused.pop(sender, None)
        self._warned.pop(sender, None)

    def _is_over(self, *counts: int) -> bool:
        pairs = zip(counts, self._limits, strict=True)
        return any(limit is not None and count > limit for count, limit in pairs)

    def _is_low(self, *counts: int) -> bool:
        if self._limits == (None, None):
            return False
        pairs = zip(counts, self._limits, strict=True)
        return all(limit is None or count <= int(limit * SOFT_LIMIT) for count, limit in pairs)
