"""The services by name, in the order in which they start; they stop in the reverse one."""

from typing import Literal, get_args

ServiceName = Literal["order-events", "payment", "shipping", "notification", "gateway"]
SERVICES: tuple[ServiceName, ...] = get_args(ServiceName)
CONSUMERS: tuple[ServiceName, ...] = ("payment", "shipping", "notification")
