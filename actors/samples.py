"""What one process samples of itself for the operator's pages: its outbox, and its messages."""

from functools import partial

from actors.services import CONSUMERS, ServiceName
from runtime.host import Clock
from runtime.sampling import Figure, Sampler
from runtime.telemetry import Telemetry

PUBLISHED = "published"
PENDING = "pending"


def sampler_of(services: tuple[ServiceName, ...], clock: Clock, telemetry: Telemetry) -> Sampler:
    """Return the sampler of a process that runs these services.

    Its levels are ``pending`` (messages in the outbox), its counters ``published`` (messages that
    the broker confirmed), ``<queue>.delivered`` and ``<queue>.acked``.
    """
    total = telemetry.total
    levels: dict[str, Figure] = {}
    counters: dict[str, Figure] = {}
    if "order-events" in services:
        levels[PENDING] = partial(total, "outbox_pending")
    if services != ("gateway",):
        counters[PUBLISHED] = partial(total, "messages_published_total", result="ok")
    for queue in CONSUMERS:
        if queue in services:
            counters[f"{queue}.delivered"] = partial(
                total, "message_delivery_age_seconds", queue=queue
            )
            counters[f"{queue}.acked"] = partial(total, "messages_processed_total", queue=queue)
    return Sampler(clock, levels=levels, counters=counters)
