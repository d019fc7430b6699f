"""The runtime's signals: every metric and every log event that it may emit, as literal tables.

They are a contract: dashboards and alerts are built on these names, so renaming one is a breaking
change. A system built on the runtime adds tables of its own (`Metric` rows, `EventTable`).
Metric names carry the prefix ``ordermill_`` on the wire. Labels are kinds (queue, type, actor's
name in the tree), never ids. Durations are in seconds.
"""

from collections.abc import Mapping
from typing import Literal

import msgspec

MetricKind = Literal["counter", "gauge", "histogram"]
EventTable = Mapping[str, tuple[str, ...]]

# From 1 ms to 30 s, roughly by factors of 2.5: a commit is near the left, a retried call the right.
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metric(msgspec.Struct, frozen=True):
    """One metric: what it is called, what it counts, which labels every sample carries.

    ``buckets`` are a histogram's upper bounds, ascending, without the infinite one.
    """

    name: str
    kind: MetricKind
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = SECONDS


METRICS: tuple[Metric, ...] = (
    Metric("http_requests_total", "counter", "Requests answered.", ("method", "route", "status")),
    Metric("http_request_duration_seconds", "histogram", "Time to answer.", ("method", "route")),
    Metric("http_connections", "gauge", "Open connections of clients.", ("service",)),
    Metric(
        "http_client_connections_in_use",
        "gauge",
        "Connections to other services that carry a request now.",
        ("service",),
    ),
    Metric("events_appended_total", "counter", "Events appended to the store.", ("type",)),
    Metric("store_append_duration_seconds", "histogram", "Append asked for to committed."),
    Metric("version_conflicts_total", "counter", "Appends refused for their expected version."),
    Metric("outbox_pending", "gauge", "Messages waiting for the broker's confirm."),
    Metric("outbox_oldest_age_seconds", "gauge", "Age of the oldest message in the outbox."),
    Metric(
        "messages_published_total",
        "counter",
        "Messages sent to the broker, by result: ok, refused, lost.",
        ("exchange", "type", "result"),
    ),
    Metric(
        "messages_processed_total",
        "counter",
        "Deliveries settled, by result: ok, retry, duplicate, dead, discarded.",
        ("queue", "type", "result"),
    ),
    Metric("message_process_duration_seconds", "histogram", "Time in the handler.", ("queue",)),
    Metric("message_delivery_age_seconds", "histogram", "Published to delivered.", ("queue",)),
    Metric("dead_letters", "gauge", "Messages parked for a person to look at.", ("queue",)),
    Metric("mailbox_depth", "gauge", "Items waiting in the mailbox.", ("actor",)),
    Metric("mailbox_rejected_total", "counter", "Items refused by the mailbox.", ("actor",)),
    Metric(
        "actor_restarts_total",
        "counter",
        "Restarts, by reason: failed, returned, cancelled, sibling, operator.",
        ("actor", "reason"),
    ),
    Metric("event_loop_lag_seconds", "gauge", "How late a timer fired, latest measurement."),
    Metric("build_info", "gauge", "1; the labels say what runs.", ("version", "python")),
)

EVENTS: EventTable = {
    "actor.crashed": ("actor", "reason", "error", "where"),
    "actor.killed": ("actor", "shutdown_s"),
    "actor.restarted": ("actor", "reason", "restarts"),
    "actor.started": ("actor",),
    "actor.stop_failed": ("actor", "error"),
    "actor.stopped": ("actor",),
    "broker.back": ("role", "down_s"),
    "broker.listening": ("bind", "port", "queues"),
    "broker.lost": ("role", "error"),
    "broker.refused": ("role", "error"),
    "broker.stalled": ("role", "error"),
    "broker.stopped": ("port",),
    "broker.stuck": ("error",),
    "broker.unstuck": ("waited_s",),
    "consumer.ended": ("queue", "error"),
    "event.appended": ("stream", "type", "version", "position"),
    "http.failed": ("method", "route", "request_id", "error", "where"),
    "library.log": ("logger", "text", "where"),
    "message.dead": ("queue", "type", "message_id", "attempt", "reason", "error"),
    "message.duplicate": ("queue", "type", "message_id"),
    "message.oversized": ("queue", "message_id", "size"),
    "message.redriven": ("queue", "message_id"),
    "message.retry": ("queue", "type", "message_id", "attempt", "delay_s", "error"),
    "message.stuck": ("queue", "type", "message_id", "error"),
    "outbox.lag": ("pending", "oldest_age_s"),
    "outbox.refused": ("exchange", "type", "message_id", "error"),
    "supervisor.escalated": ("actor", "error"),
    "work.failed": ("queue", "error"),
}
