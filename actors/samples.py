"""What a process samples of itself for the operator's pages: outbox, messages, restarts."""

from collections import deque
from collections.abc import Mapping, Sequence
from functools import partial

from actors.services import CONSUMERS, ServiceName
from runtime.host import Clock
from runtime.sampling import Figure, Sampler
from runtime.telemetry import Telemetry

PUBLISHED = "published"
PENDING = "pending"
APPENDED = "appended"
RESTARTS = "restarts"
HOUR_S = 3600.0
_LOOK_S = 60.0


class LastHour:
    """By how much a counter has grown within the last hour, to the minute: ask it that often.

    Before there has been an hour, it is by how much since this was made.
    """

    def __init__(self, clock: Clock, counter: Figure) -> None:
        self._clock = clock
        self._counter = counter
        self._looks = deque([(clock.monotonic(), counter())])

    def __call__(self) -> float:
        """Look, and return by how much the counter has grown."""
        now_s, count, looks = self._clock.monotonic(), self._counter(), self._looks
        if now_s - looks[-1][0] >= _LOOK_S:
            looks.append((now_s, count))
        while len(looks) > 1 and looks[1][0] <= now_s - HOUR_S:
            looks.popleft()
        return count - looks[0][1]


def sampler_of(
    services: tuple[ServiceName, ...],
    clock: Clock,
    telemetry: Telemetry,
    subscriptions: Mapping[str, Sequence[str]],
) -> Sampler:
    """Return the sampler of a process that runs these services.

    ``subscriptions`` are the event types that each queue is meant to get.

    Its levels are ``restarts`` (within the last hour, of whomever it supervises) and ``pending``
    (messages in the outbox), its counters ``appended`` (events), ``published`` (messages that the
    broker confirmed), ``<queue>.routed`` (of these, what is bound to a queue),
    ``<queue>.delivered`` and ``<queue>.acked``.
    """
    total = telemetry.total
    restarts = LastHour(clock, partial(total, "actor_restarts_total"))
    levels: dict[str, Figure] = {RESTARTS: restarts}
    counters: dict[str, Figure] = {}
    if "order-events" in services:
        levels[PENDING] = partial(total, "outbox_pending")
        counters[APPENDED] = partial(total, "events_appended_total")
        for queue in CONSUMERS:
            counters[f"{queue}.routed"] = partial(_routed, telemetry, subscriptions[queue])
    if services != ("gateway",):
        counters[PUBLISHED] = partial(total, "messages_published_total", result="ok")
    for queue in CONSUMERS:
        if queue in services:
            counters[f"{queue}.delivered"] = partial(
                total, "message_delivery_age_seconds", queue=queue
            )
            counters[f"{queue}.acked"] = partial(total, "messages_processed_total", queue=queue)
    return Sampler(clock, levels=levels, counters=counters)


def _routed(telemetry: Telemetry, types: Sequence[str]) -> float:
    return sum(
        telemetry.total("messages_published_total", type=name, result="ok") for name in types
    )
