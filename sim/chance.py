"""Which of the things that come along one by one a fault takes."""

import random


class Chance:
    """Of what is about ``only``, ``skip`` pass; then each is taken with probability ``share``.

    At most ``left`` are taken. What being about ``only`` means is the taker's affair; empty means
    everything.
    """

    __slots__ = ("_random", "_share", "_skip", "left", "only")

    def __init__(
        self,
        rng: random.Random,
        *,
        only: str = "",
        share: float = 1.0,
        skip: int = 0,
        left: int = 1_000_000,
    ) -> None:
        self.only = only
        self.left = left
        self._random = rng
        self._share = share
        self._skip = skip

    def takes(self) -> bool:
        """Whether this one, which is about ``only``, is taken; counting and chance happen here."""
        if not self.left:
            return False
        if self._skip:
            self._skip -= 1
            return False
        if self._share < 1.0 and self._random.random() >= self._share:
            return False
        self.left -= 1
        return True
