"""What travels over the Order Event Service's own HTTP API: shared by its server and its client.

Commands, receipts, orders and personal data go as the domain's structs; events as `EventJson`.
Unknown fields of a request are refused, unknown fields of a reply ignored.
"""

from typing import Annotated

import msgspec

from actors.domain.event_json import EventJson
from actors.domain.order_events import Command, CorrelationId, Intent, OrderSummary, Receipt

PROBLEM_JSON = "application/problem+json"
REPLAYED_HEADER = "Idempotent-Replayed"

Version = Annotated[int, msgspec.Meta(ge=0, le=2**53)]


class CommandBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A customer's command; its type and order id must be those of the route."""

    command: Command
    intent: Intent


class AppendBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A service's event. ``type`` is ``<event>/v<n>``; ``publish`` may only repeat the table."""

    id: Annotated[str, msgspec.Meta(pattern=r"^[!-~]{1,128}$(?!\n)")]
    type: str
    data: msgspec.Raw
    correlation_id: CorrelationId
    expected_version: Version | None = None
    publish: bool | None = None


class ReplayBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whether a command with this intent was decided before, and how."""

    intent: Intent


class ReplayReply(msgspec.Struct, frozen=True):
    """The receipt of then; null where there was no such command."""

    receipt: Receipt | None


class RecordedReply(msgspec.Struct, frozen=True):
    """An appended event."""

    event: EventJson
    replayed: bool


class EventsReply(msgspec.Struct, frozen=True):
    """Events in order."""

    data: list[EventJson]


class OrdersReply(msgspec.Struct, frozen=True):
    """Rows of the order list, newest first."""

    data: list[OrderSummary]


class ObligationsReply(msgspec.Struct, frozen=True):
    """Orders that something is owed to, oldest first."""

    refunds_due: list[str]


class Problem(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """RFC 9457. ``code`` is the last part of ``type``; ``details`` are those of a `Rejection`."""

    type: str
    title: str
    status: int
    code: str
    details: dict[str, object] = {}
    pointer: str | None = None
