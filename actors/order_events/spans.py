"""The span of an append: what the stored event, and every message of it, names as its origin."""

import msgspec

from actors.order_events.deciding import Decision, Execute, Replay, Request
from runtime.errors import Rejection
from runtime.tracing import Span, Spans


def begin_append(spans: Spans | None, request: Request) -> tuple[Request, Span | None]:
    """Return the request as it is to be decided, and the span that its event will name."""
    if spans is None or isinstance(request, Replay):
        return request, None
    asked = request.command if isinstance(request, Execute) else request.body
    parent = request.intent.traceparent if isinstance(request, Execute) else request.traceparent
    attributes = {"ordermill.request": type(asked).__name__, "ordermill.service": request.service}
    span = spans.begin("append order", "internal", parent, attributes)
    if isinstance(request, Execute):
        intent = msgspec.structs.replace(request.intent, traceparent=span.traceparent)
        return msgspec.structs.replace(request, intent=intent), span
    return msgspec.structs.replace(request, traceparent=span.traceparent), span


def end_append(span: Span, decision: Decision | Exception) -> None:
    """Say what came of it. A refusal is an answer, not a failure."""
    if isinstance(decision, Exception) and not isinstance(decision, Rejection):
        span.fail(type(decision).__name__)
    elif isinstance(decision, Exception):
        span.note("ordermill.refused", decision.code)
    elif isinstance(decision.answer, Rejection):
        span.note("ordermill.refused", decision.answer.code)
    elif decision.appended is not None:
        event = decision.appended
        span.note("ordermill.order.id", event.order_id)
        span.note("ordermill.order.version", event.version)
        span.note("ordermill.event.type", event.type.name)
    span.end()
