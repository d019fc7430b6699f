"""What order-events logs, beside the runtime's own signals."""

from runtime.signals import EventTable

EVENTS: EventTable = {
    "order_events.failed": ("error", "where"),
}
