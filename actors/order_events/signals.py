"""What order-events counts and logs, beside the runtime's own signals."""

from runtime.signals import EventTable, Metric

METRICS: tuple[Metric, ...] = (
    Metric(
        "orders_total",
        "counter",
        "Orders, by what became of them: placed, paid, payment_failed, prepared, shipped, "
        "cancelled, refunded. One order is counted once for each.",
        ("outcome",),
    ),
    Metric(
        "order_stage_duration_seconds",
        "histogram",
        "Time from one stage to the next: placed to paid, paid to prepared, prepared to shipped, "
        "cancelled to refunded; by the stage that was reached.",
        ("stage",),
        (0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21600.0, 86400.0, 604800.0),
    ),
)

EVENTS: EventTable = {
    "order_events.failed": ("error", "where"),
}
