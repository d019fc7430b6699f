"""What a service says about its messages: counters, durations, a log line for each trouble, spans.

Spans and their attributes are named as OpenTelemetry's semantic conventions for messaging say.
"""

from collections.abc import Awaitable, Callable, Collection
from contextlib import AbstractContextManager, nullcontext

from runtime import tracing
from runtime.jobs import Job, Told
from runtime.message import Message
from runtime.outcomes import Verdict
from runtime.redaction import printable
from runtime.telemetry import Telemetry
from runtime.tracing import TRACEPARENT, TRACESTATE, Span, Spans

Work = Callable[[Job | Told], Awaitable[None]]
_COPIED: AbstractContextManager[None] = nullcontext()


class MessageReport:
    """The telemetry of one queue. ``types`` are the names that may become labels."""

    def __init__(self, telemetry: Telemetry, queue: str, types: Collection[str]) -> None:
        self._telemetry = telemetry
        self._queue = queue
        self._types = types

    def traced(self, work: Work) -> Work:
        """Return ``work``, with each message in its trace; work of its own begins one."""

        async def take(item: Job | Told) -> None:
            spans = self._telemetry.spans
            if isinstance(item, Told):
                tracing.follow(None)
                with nullcontext() if spans is None else self._resuming(spans, item):
                    await work(item)
                return
            headers = item.message.headers
            origin = tracing.well_formed(headers.get(TRACEPARENT))
            tracing.follow(origin, tracing.well_formed_state(headers.get(TRACESTATE)))
            if spans is None:
                await work(item)
                return
            with tracing.inside(self._processing(spans, item.message, origin)):
                await work(item)

        return take

    def _resuming(self, spans: Spans, told: Told) -> AbstractContextManager[None]:
        """Begin a trace: work of the service's own follows from nothing that anybody has sent."""
        attributes = {"ordermill.key": printable(told.key)}
        return tracing.inside(spans.begin(f"resume {self._queue}", "internal", None, attributes))

    def _processing(self, spans: Spans, message: Message, origin: str | None) -> Span:
        attributes: dict[str, str | int] = {
            "messaging.system": "rabbitmq",
            "messaging.operation.type": "process",
            "messaging.destination.name": self._queue,
            "messaging.message.id": printable(message.message_id),
            "messaging.message.conversation_id": printable(message.correlation_id),
            "messaging.message.body.size": len(message.body),
            "ordermill.message.type": printable(message.type),
            "ordermill.message.attempt": message.attempt + 1,
        }
        return spans.begin(f"process {self._queue}", "consumer", origin, attributes)

    def settling(self, verdict: Verdict) -> AbstractContextManager[None]:
        """Say how long the copy of a message takes that is tried again, or parked."""
        spans = self._telemetry.spans
        if spans is None:
            return _COPIED
        name, attributes = f"settle {self._queue}", {"ordermill.message.result": verdict.result}
        return tracing.inside(spans.begin(name, "client", tracing.current(), attributes))

    def arrived(self, age_s: float) -> None:
        """A message came in, this long after it was written."""
        self._telemetry.observe("message_delivery_age_seconds", age_s, queue=self._queue)

    def handled(self, took_s: float) -> None:
        """A handler ended, one way or another."""
        self._telemetry.observe("message_process_duration_seconds", took_s, queue=self._queue)

    def duplicate(self, message: Message) -> None:
        """A message was acknowledged because its inbox row says that it is dealt with."""
        self._count(message, "duplicate")
        _note("duplicate")
        self._telemetry.event(
            "message.duplicate",
            queue=self._queue,
            type=message.type,
            message_id=message.message_id,
        )

    def settled(self, message: Message, verdict: Verdict, delay_s: int) -> None:
        """A message's attempt ended; ``delay_s`` is how long it waits if it is tried again."""
        self._count(message, verdict.result)
        _note(verdict.result, verdict.error)
        if verdict.action == "requeue":
            self._telemetry.event(
                "message.retry",
                queue=self._queue,
                type=message.type,
                message_id=message.message_id,
                attempt=verdict.attempts,
                delay_s=delay_s,
                error=verdict.error,
            )
        elif verdict.action == "park":
            self._telemetry.event(
                "message.dead",
                "error",
                queue=self._queue,
                type=message.type,
                message_id=message.message_id,
                attempt=verdict.attempts,
                reason=verdict.reason,
                error=verdict.error,
            )

    def stuck(self, message: Message, error: Exception) -> None:
        """A message cannot be settled for now; its lane waits."""
        self._telemetry.event(
            "message.stuck",
            "warning",
            queue=self._queue,
            type=message.type,
            message_id=message.message_id,
            error=error,
        )

    def work_failed(self, error: Exception) -> None:
        """A piece of the service's own work failed; it will be told again."""
        self._telemetry.event("work.failed", "warning", queue=self._queue, error=error)

    def _count(self, message: Message, result: str) -> None:
        name = message.type.partition("/")[0]
        kind = name if name in self._types else "other"
        self._telemetry.count(
            "messages_processed_total", queue=self._queue, type=kind, result=result
        )


def _note(result: str, error: Exception | None = None) -> None:
    span = tracing.current_span()
    if span is not None:
        span.note("ordermill.message.result", result)
        if error is not None and result != "discarded":
            span.fail(type(error).__name__)
