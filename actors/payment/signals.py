"""What the payment service counts and logs, beside the runtime's own signals."""

from runtime.signals import EventTable, Metric

METRICS: tuple[Metric, ...] = (
    Metric(
        "payment_calls_total",
        "counter",
        "Requests to the payment provider, by how they ended: authorised, captured, declined, "
        "voided, refunded, unknown.",
        ("kind", "result"),
    ),
    Metric("payment_refunds_due", "gauge", "Refunds owed, when they were last looked for."),
)

EVENTS: EventTable = {
    "payment.key-expired": ("order_id", "kind", "called_at_ms"),
    "payment.resumed": ("order_id",),
    "payment.sweep-postponed": ("error",),
}
