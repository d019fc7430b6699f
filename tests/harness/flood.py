"""A foreign client that floods the exchanges: real events again and again, and poison with them.

It listens to everything that the exchanges carry. Each event that it hears it puts nine times more
into the queues that have it, byte for byte, and before each of the ten a message that nobody can
process.
"""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import NamedTuple

import pamqp.frame
from aiormq.abc import DeliveredMessage
from pamqp import commands
from pamqp.header import ContentHeader

from actors.topology import EXCHANGES, SUBSCRIPTIONS, topology
from runtime.amqp.deliveries import BODY_MAX
from tests.harness.peer import Peer, immune_peer_at
from tests.harness.poison import POISON

TIMES = 10
EAR = "flood"
#: Queues by the routing keys that lead to them.
ROUTES: dict[str, list[str]] = {}
for _binding in topology((1,), "quorum").bindings:
    ROUTES.setdefault(_binding.routing_key, []).append(_binding.queue)


class Parked(NamedTuple):
    """A message as it lies in a ``.dead`` queue: where, why, and what it says."""

    queue: str
    reason: str
    body: bytes


class Bad(NamedTuple):
    """A message that nobody can process: its properties on the wire, its body, and the reason."""

    properties: bytes
    body: bytes
    reason: str


def _properties(**changes: object) -> bytes:
    """Return a service message's properties with these changes, as they go over the wire."""
    whole: dict[str, object] = {
        "content_type": "application/json",
        "delivery_mode": 2,
        "message_type": "order-created/v1",
        "message_id": "poison",
        "correlation_id": "req_1",
        "app_id": "a stranger",
        "timestamp": datetime.fromtimestamp(1_700_000_000, UTC),
    }
    chosen = {name: value for name, value in (whole | changes).items() if value is not None}
    header = ContentHeader(properties=commands.Basic.Properties(**chosen))  # type: ignore[arg-type]
    return pamqp.frame.marshal(header, 1)[7 + 12 : -1]


def kinds(message_type: str) -> list[Callable[[int], Bad]]:
    """Return makers of poison that is of this type, as far as it can have one."""
    whole = '{"order_id": "ord_1", "version": 1, "data": {}, "number": %d}'
    bodies = (
        "no JSON: %d",
        '{"order_id": "ord_1", "version": 1',
        '["a list", %d]',
        '"a text: %d"',
        '{"version": 1, "data": {}, "number": %d}',
        '{"order_id": %d, "version": 1, "data": {}}',
        '{"order_id": "ord_1", "version": "one", "data": {}, "number": %d}',
        "[" * 5000 + "%d" + "]" * 5000,
        "\xff\xfe %d",
    )
    properties: dict[str, dict[str, object]] = {
        "unknown-version": {"message_type": message_type.replace("/v1", "/v999")},
        "unknown-type": {"message_type": "order-teleported/v1"},
    }
    incomplete: list[dict[str, object]] = [
        {"message_type": "without a version"},
        {"message_type": "order-created/v1.5"},
        {"message_type": None},
        {"message_id": None},
        {"timestamp": None},
        {"content_type": None},
        {"app_id": None, "correlation_id": None},
    ]

    def with_body(text: str) -> Callable[[int], Bad]:
        marked = text if "%d" in text else text + " %d"
        sound = _properties(message_type=message_type)
        return lambda number: Bad(sound, (marked % number).encode("latin-1"), "malformed")

    def with_properties(raw: bytes, reason: str) -> Callable[[int], Bad]:
        return lambda number: Bad(raw, (whole % number).encode(), reason)

    return [
        *(with_body(text) for text in bodies),
        *(with_properties(_properties(**change), why) for why, change in properties.items()),
        *(with_properties(_properties(**change), "malformed") for change in incomplete),
        *(with_properties(raw, "malformed") for raw in POISON.values()),
    ]


class Flood:
    """``expected`` is what must lie in the ``.dead`` queues in the end.

    ``good`` and ``bad`` count the messages that the queues were given.
    """

    def __init__(self, peer: Peer, *, poisoned: bool) -> None:
        self._peer = peer
        self._poisoned = poisoned
        self._numbers = itertools.count()
        self._makers: dict[str, Iterator[Callable[[int], Bad]]] = {}
        self.expected: Counter[Parked] = Counter()
        self.good = self.bad = 0

    async def hear(self, message: DeliveredMessage) -> None:
        """Give an event to its queues again, nine times, with as much poison as there is good."""
        properties, delivery = message.header.properties, message.delivery
        assert isinstance(delivery, commands.Basic.Deliver)
        kind = properties.message_type or ""
        raw = pamqp.frame.marshal(ContentHeader(properties=properties), 1)[7 + 12 : -1]
        for queue in ROUTES[delivery.routing_key or ""]:
            makers = self._makers.setdefault(queue, itertools.cycle(kinds(kind)))
            for turn in range(TIMES):
                if self._poisoned:
                    await self._put(queue, next(makers)(next(self._numbers)))
                if turn:
                    await self._peer.put_raw(queue, raw, message.body)
                self.good += 1

    async def too_large(self, queue: str) -> None:
        """Send a message that is too large to be read by anybody."""
        body = b"%d" % next(self._numbers) + bytes(BODY_MAX)
        await self._put(queue, Bad(_properties(), body, "rejected"))

    async def _put(self, queue: str, bad: Bad) -> None:
        await self._peer.put_raw(queue, bad.properties, bad.body)
        self.expected[Parked(queue, bad.reason, bad.body)] += 1
        self.bad += 1

    async def parked(self, found: Counter[Parked]) -> None:
        """From now on take what lies in the ``.dead`` queues, and count it in ``found``."""

        async def take(message: DeliveredMessage) -> None:
            headers = message.header.properties.headers or {}
            reason = headers.get("x-reason") or headers.get("x-first-death-reason")
            delivery = message.delivery
            assert isinstance(delivery, commands.Basic.Deliver)
            queue = (delivery.consumer_tag or "").removeprefix("taking ")
            found[Parked(queue, str(reason), message.body)] += 1

        for queue in SUBSCRIPTIONS:
            tag = f"taking {queue}"
            await self._peer.channel.basic_consume(
                f"{queue}.dead", take, no_ack=True, consumer_tag=tag
            )


@asynccontextmanager
async def flooding(url: str, *, poisoned: bool = True) -> AsyncIterator[Flood]:
    """Flood until the block ends; without poison every event still comes ten times."""
    async with immune_peer_at(url) as peer:
        await peer.channel.queue_declare(EAR, exclusive=True)
        for exchange in EXCHANGES:
            await peer.channel.queue_bind(EAR, exchange, "#")
        flood = Flood(peer, poisoned=poisoned)
        await peer.channel.basic_consume(EAR, flood.hear, no_ack=True)
        yield flood
