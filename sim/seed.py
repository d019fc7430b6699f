"""One seed, many independent streams: one more draw here moves nothing there.

Each purpose draws from a stream of its own, named by text, so a change of the workload does not
change what the network does, and a fault that is taken out of a plan does not move the others.
"""

import random
from hashlib import blake2b

EPOCH_S = 1_750_000_000.0
"""The Unix time at which every simulated world begins."""


class Seed:
    """The master seed of a run.

    >>> Seed(7).stream("net").random() == Seed(7).stream("net").random()
    True
    >>> Seed(7).stream("net").random() == Seed(7).stream("disk").random()
    False
    """

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number

    def stream(self, *names: str | int) -> random.Random:
        """Return a fresh generator for this purpose."""
        return random.Random(f"{self.number}/" + "/".join(map(str, names)))

    def once(self, *names: str | int) -> float:
        """Return the only number, of [0, 1), that is drawn for this purpose: no stream is made.

        >>> Seed(7).once("syn", 1) == Seed(7).once("syn", 1) != Seed(7).once("syn", 2)
        True
        """
        name = f"{self.number}/" + "/".join(map(str, names))
        return int.from_bytes(blake2b(name.encode(), digest_size=6).digest()) / (1 << 48)
