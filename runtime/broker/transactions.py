"""What a transactional channel has asked for since its last commit (``tx.select``).

Publishes are checked and routed when they come in, and delivered by the commit; what is settled is
taken from the client at once, and settled in the queues by the commit. Atomic for nobody but the
client that waits for its commit-ok, as in RabbitMQ.
"""

from itertools import chain

from runtime.broker.consumer import Held, Settlement
from runtime.broker.messages import Message

Routed = tuple[Message, list[str], bool]


class Transaction:
    """Publishes (message, names of queues, mandatory) and settlements, in order."""

    def __init__(self) -> None:
        self.publishes: list[Routed] = []
        self._settlements: list[tuple[Settlement, list[Held]]] = []

    def publish(self, message: Message, queues: list[str], *, mandatory: bool) -> None:
        """Remember a publish."""
        self.publishes.append((message, queues, mandatory))

    def settle(self, helds: list[Held], how: Settlement) -> None:
        """Remember what was settled; the same decision in a row is one."""
        if self._settlements and self._settlements[-1][0] == how:
            self._settlements[-1][1].extend(helds)
        else:
            self._settlements.append((how, list(helds)))

    def settlements(self) -> list[tuple[Settlement, list[Held]]]:
        """What to settle, each part in order of delivery."""
        return [(how, sorted(helds, key=_tag)) for how, helds in self._settlements]

    def held(self) -> list[Held]:
        """What the client has settled and the queues have not."""
        return list(chain.from_iterable(helds for _, helds in self._settlements))


def _tag(held: Held) -> int:
    return held.tag
