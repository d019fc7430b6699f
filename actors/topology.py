"""This system's exchanges, queues and bindings: one literal.

Three topic exchanges, one queue a service, routing keys ``<category>.<event>``. What is added -
delay queues and the ``.dead`` queue - is named after the queue it serves.
"""

from collections.abc import Iterable, Sequence

from actors.domain.events import EVENT_TYPES
from runtime.amqp.topology import Exchange, QueueType, Topology, joined, service_queues

EXCHANGES = ("orders", "payment", "shipping")

# queue: the events that its service consumes
SUBSCRIPTIONS: dict[str, tuple[str, ...]] = {
    "payment": ("order-created", "order-cancelled"),
    "shipping": ("payment-captured",),
    "notification": ("order-created", "order-cancelled", "payment-auth-failed", "shipped"),
}


def topology(
    tiers_s: Sequence[int], queue_type: QueueType, services: Iterable[str] = SUBSCRIPTIONS
) -> Topology:
    """Return what must exist on the broker before the first message.

    That is everything, or what the queues of some ``services`` need.
    """
    exchanges = Topology(exchanges=tuple(Exchange(name) for name in EXCHANGES))
    queues = [
        service_queues(
            queue, [_binding(event) for event in SUBSCRIPTIONS[queue]], tiers_s, queue_type
        )
        for queue in services
    ]
    return joined(exchanges, *queues)


def _binding(event: str) -> tuple[str, str]:
    row = EVENT_TYPES[event]
    assert row.exchange is not None, f"{event} is not published, so no queue can consume it"
    return row.exchange, row.routing_key
