"""What became of orders, and how long each stage took: counted as their events are appended."""

from actors.domain.order import Order
from runtime.telemetry import Telemetry

OUTCOMES = {
    "order-created": "placed",
    "payment-captured": "paid",
    "payment-auth-failed": "payment_failed",
    "order-cancelled": "cancelled",
    "payment-refunded": "refunded",
    "shipping-prepared": "prepared",
    "shipped": "shipped",
}
# stage -> the events that end it and begin it
STAGES = {
    "paid": ("payment-captured", "order-created"),
    "prepared": ("shipping-prepared", "payment-captured"),
    "shipped": ("shipped", "shipping-prepared"),
    "refunded": ("payment-refunded", "order-cancelled"),
}


def count_stage(order: Order, telemetry: Telemetry) -> None:
    """Count the latest event of an order that was just appended to."""
    latest = next((name for name in OUTCOMES if order.has(name) and _is_latest(order, name)), None)
    if latest is None:
        return
    telemetry.count("orders_total", outcome=OUTCOMES[latest])
    for stage, (ends, begins) in STAGES.items():
        if ends == latest and order.has(begins):
            took_ms = order.happened[ends].at_ms - order.happened[begins].at_ms
            telemetry.observe("order_stage_duration_seconds", took_ms / 1000, stage=stage)


def _is_latest(order: Order, name: str) -> bool:
    return order.happened[name].version == order.version
