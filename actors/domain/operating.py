"""What operators are told: pages of the log, orders that were searched for, figures, settings."""

import msgspec

from actors.domain.event_json import EventJson
from actors.domain.order_events import OrderSummary


class EventsPage(msgspec.Struct, frozen=True):
    """Events by position; ``last`` is the position to go on after."""

    data: list[EventJson]
    last: int


class OrderFound(OrderSummary, frozen=True):
    """A row of the order list, and the type of what happened last."""

    last_event: str = ""


class OrdersFound(msgspec.Struct, frozen=True):
    """Orders, newest first: as many as were asked for, of ``total``."""

    data: list[OrderFound]
    total: int


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Counts of orders. ``late`` ones wait for a service of ours, and have for ``late_s``.

    The quantiles are from placed to shipped, in milliseconds, of the ``measured`` orders that were
    shipped last; None where there are none.
    """

    total: int
    placed_last_minute: int
    late: int
    late_s: int
    by_status: dict[str, int]
    measured: int
    p50_ms: int | None
    p99_ms: int | None


class SettingShown(msgspec.Struct, frozen=True):
    """One setting as it is in force; a secret is shown as ``***``.

    ``source`` is ``default``, ``<file>:<line>``, a variable's name or ``--set``; empty if unknown.
    """

    key: str
    value: str
    default: str
    description: str
    source: str = ""
