"""What is in each queue, as far as anybody tells: its service, its broker, or nobody.

Pure functions of what was told. A dash is a figure that is not available; why, stands beside it.
"""

from collections.abc import Iterator, Mapping

import msgspec

from actors.dead_letters import QueuesReply
from actors.durations import duration
from actors.gateway.console.backstage import Asked, ProcessStatus
from runtime.amqp.depths import QueueDepth
from runtime.amqp.figures import alarms_together

UNKNOWN = "?"
NOT_TOLD = "–"  # noqa: RUF001 - as a person reads it

Statuses = Mapping[str, Asked[ProcessStatus]]
Depths = Mapping[str, Asked[QueuesReply]]


class QueueRow(msgspec.Struct, frozen=True):
    """One queue: who consumes it, what is in it, what goes in and out, and how old its head is."""

    name: str
    ready: int
    unacked: str
    consumers: int
    into: str
    out: str
    acked: str
    oldest: str


def queue_rows(statuses: Statuses, depths: Depths) -> list[QueueRow]:
    """Return every queue of the services that have answered."""
    return [
        _row(depth, depth.name == service, service, statuses)
        for service, asked in depths.items()
        for depth in (asked.answer.data if asked.answer is not None else ())
    ]


def alarms(depths: Depths) -> list[str] | None:
    """Return what the broker is short of; None where nobody tells."""
    return alarms_together(answer.alarms for answer in _answers(depths))


def missing(depths: Depths) -> list[str]:
    """Return why figures of the broker are missing, each reason once."""
    return [*dict.fromkeys(answer.missing for answer in _answers(depths) if answer.missing)]


def oldest(depth: QueueDepth) -> str:
    """Return in words how old the message at the head of a queue is."""
    if depth.ready == 0:
        return "none"
    return NOT_TOLD if depth.oldest_age_s is None else duration(depth.oldest_age_s)


def sampled(status: ProcessStatus | None, name: str) -> str:
    """Return a rate that a process samples, in words; it takes two samples to have one."""
    if status is None or status.samples is None:
        return UNKNOWN
    found = status.samples.per_s.get(name)
    return "not yet known" if found is None else f"{found:g}/s"


def _row(depth: QueueDepth, is_own: bool, service: str, statuses: Statuses) -> QueueRow:
    """Fill a row; the services count what goes through their own queues where no broker does."""

    def rate(told: float | None, source: str, counter: str) -> str:
        if told is not None:
            return f"{told:g}/s"
        return sampled(statuses[source].answer, f"{service}.{counter}") if is_own else NOT_TOLD

    return QueueRow(
        depth.name,
        depth.ready,
        NOT_TOLD if depth.unacked is None else str(depth.unacked),
        depth.consumers,
        rate(depth.in_per_s, "order-events", "routed"),
        rate(depth.out_per_s, service, "delivered"),
        rate(depth.acked_per_s, service, "acked"),
        oldest(depth),
    )


def _answers(depths: Depths) -> Iterator[QueuesReply]:
    return (asked.answer for asked in depths.values() if asked.answer is not None)
