"""The gateway's own metrics and log events; `Telemetry` must be made with both tables."""

from runtime.signals import EventTable, Metric

METRICS: tuple[Metric, ...] = (
    Metric(
        "idempotency_total",
        "counter",
        "Requests with an Idempotency-Key, by result: first, replayed, reused.",
        ("result",),
    ),
    Metric("http_requests_in_work", "gauge", "Requests in work, by kind: read, write.", ("kind",)),
    Metric("stream_clients", "gauge", "Open streams of server-sent events."),
)

EVENTS: EventTable = {
    "order.accepted": ("order_id", "number", "request_id"),
    "http.failed": ("method", "route", "request_id", "error", "where"),
}
