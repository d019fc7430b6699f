"""The services by name, in the order in which they start; they stop in the reverse one."""

from typing import Literal, get_args

ServiceName = Literal["order-events", "payment", "shipping", "notification", "gateway"]
SERVICES: tuple[ServiceName, ...] = get_args(ServiceName)
CONSUMERS: tuple[ServiceName, ...] = ("payment", "shipping", "notification")

OPERATOR_PREFIX = "/internal/v1/operator"
"""Where each of them hears operators, on its own HTTP side."""
