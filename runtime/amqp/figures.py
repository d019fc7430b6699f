"""What a broker tells of its queues beyond what AMQP does, whichever broker that is."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

import msgspec


class QueueFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One queue; None for what the broker does not tell.

    ``unacked`` messages are delivered and not settled; rates are per second. ``oldest_age_s`` is
    how old the message at the head is, by its own ``timestamp`` property (whole seconds): a
    message that was put back, retried or parked is as old as what it tells of. RabbitMQ reads it
    in classic queues only.
    """

    unacked: int | None = None
    in_per_s: float | None = None
    out_per_s: float | None = None
    acked_per_s: float | None = None
    oldest_age_s: float | None = None


class BrokerFigures(msgspec.Struct, frozen=True, kw_only=True):
    """Queues by name, and the ``alarms`` of the broker: resources that it is short of.

    ``alarms`` is None where it does not tell. ``trouble`` is why figures are missing, if they are.
    """

    queues: Mapping[str, QueueFigures] = {}
    alarms: list[str] | None = None
    trouble: str = ""


def alarms_together(told: Iterable[Sequence[str] | None]) -> list[str] | None:
    """Return what several have told of one broker's alarms, each once; None where nobody tells."""
    found = [alarms for alarms in told if alarms is not None]
    return [*dict.fromkeys(alarm for alarms in found for alarm in alarms)] if found else None


AskFigures = Callable[[], Awaitable[BrokerFigures]]
"""Asks the broker; whatever stands in the way is told, not raised."""


async def no_figures() -> BrokerFigures:
    """Answer for a broker that nobody can ask."""
    return BrokerFigures(trouble="not available: the management API is not configured")
