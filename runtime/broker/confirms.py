"""Publisher confirms of one channel: counted, collected, and sent in as few frames as are true."""

from collections.abc import Callable

Send = Callable[[int, bool, bool], None]


class Confirms:
    """Publishes are numbered from 1; each is settled once, positively or not."""

    def __init__(self) -> None:
        self._published = 0
        self._unconfirmed: dict[int, None] = {}
        self._acks: list[int] = []
        self._nacks: list[int] = []

    @property
    def unconfirmed(self) -> int:
        """How many publishes are not settled yet."""
        return len(self._unconfirmed)

    def add(self) -> int:
        """Number a publish."""
        self._published += 1
        self._unconfirmed[self._published] = None
        return self._published

    def settle(self, number: int, *, positive: bool) -> bool:
        """A publish is settled; `flush` tells the client. False if it was settled before."""
        if number not in self._unconfirmed:
            return False
        del self._unconfirmed[number]
        (self._acks if positive else self._nacks).append(number)
        return True

    def flush(self, send: Send) -> None:
        """Call ``send`` (number, multiple, positive), as RabbitMQ's coalesce_and_send does."""
        acks, self._acks = self._acks, []
        nacks, self._nacks = self._nacks, []
        if len(acks) == 1 and not nacks:
            send(acks[0], False, True)
            return
        for numbers, others, positive in ((acks, nacks, True), (nacks, acks, False)):
            if numbers:
                self._send(sorted(numbers), others, positive, send)

    def _send(self, numbers: list[int], others: list[int], positive: bool, send: Send) -> None:
        bound = min([next(iter(self._unconfirmed), numbers[-1] + 1), *others])
        together = [number for number in numbers if number < bound]
        if positive and len(numbers) == 1:
            together = []
        if together:
            send(together[-1], True, positive)
        for number in numbers[len(together) :]:
            send(number, False, positive)

    def forget(self) -> None:
        """The channel ends: nothing is confirmed any more."""
        self._unconfirmed.clear()
