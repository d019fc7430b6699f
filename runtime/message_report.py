"""What a service says about its messages: counters, durations, a log line for each trouble."""

from collections.abc import Collection

from runtime.message import Message
from runtime.outcomes import Verdict
from runtime.telemetry import Telemetry


class MessageReport:
    """The telemetry of one queue. ``types`` are the names that may become labels."""

    def __init__(self, telemetry: Telemetry, queue: str, types: Collection[str]) -> None:
        self._telemetry = telemetry
        self._queue = queue
        self._types = types

    def arrived(self, age_s: float) -> None:
        """A message came in, this long after it was written."""
        self._telemetry.observe("message_delivery_age_seconds", age_s, queue=self._queue)

    def handled(self, took_s: float) -> None:
        """A handler ended, one way or another."""
        self._telemetry.observe("message_process_duration_seconds", took_s, queue=self._queue)

    def duplicate(self, message: Message) -> None:
        """A message was acknowledged because its inbox row says that it is dealt with."""
        self._count(message, "duplicate")
        self._telemetry.event(
            "message.duplicate",
            queue=self._queue,
            type=message.type,
            message_id=message.message_id,
        )

    def settled(self, message: Message, verdict: Verdict, delay_s: int) -> None:
        """A message's attempt ended; ``delay_s`` is how long it waits if it is tried again."""
        self._count(message, verdict.result)
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
