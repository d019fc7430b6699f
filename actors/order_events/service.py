"""The single writer: an actor that turns what waits in its mailbox into one group commit.

Requests are decided in the order of the mailbox, each seeing what those before it have staged; all
answers are given after the COMMIT. If the process dies before it, nothing happened and nobody was
told anything; if it dies after it, the asker finds the outcome under its key or event id.
"""

from collections.abc import Callable, Sequence
from functools import partial

from actors.domain.events import Event
from actors.domain.order import Order
from actors.order_events.appending import Log
from actors.order_events.deciding import Decision, Execute, Fresh, Request, decide
from actors.order_events.latest import Kept
from actors.order_events.spans import begin_append, end_append
from actors.order_events.stream import Folds
from runtime.actor import Actor, Envelope
from runtime.database import Database
from runtime.errors import Rejection, Unavailable
from runtime.host import Host
from runtime.redaction import describe_error, where_raised
from runtime.telemetry import Telemetry
from runtime.transaction import Work


class OrderEventsActor(Actor[Request]):
    """The writer. Make a new one for each incarnation: its cache belongs to it alone.

    ``at_work`` is the batch that it decides now.
    """

    def __init__(
        self,
        database: Database,
        host: Host,
        telemetry: Telemetry,
        *,
        on_appended: Callable[[Order], None],
        on_kept: Callable[[str, str, Kept], None],
        wake_relay: Callable[[], None],
    ) -> None:
        self._database = database
        self._host = host
        self._telemetry = telemetry
        self._log = Log(Folds(), on_appended, on_kept, wake_relay)
        self.at_work: Sequence[Envelope[Request]] = ()

    async def receive_batch(self, batch: Sequence[Envelope[Request]]) -> None:
        """Decide all requests in one commit; one that raises fails alone."""
        self.at_work = batch
        try:
            await self._commit(batch)
        finally:
            self.at_work = ()

    async def _commit(self, batch: Sequence[Envelope[Request]]) -> None:
        began_s = self._host.clock.monotonic()
        spans = self._telemetry.spans
        begun = [begin_append(spans, envelope.message) for envelope in batch]
        decisions = await self._database.write_all([self._work(request) for request, _ in begun])
        took_s = self._host.clock.monotonic() - began_s
        appended: dict[str, int] = {}
        for envelope, (_, span), decision in zip(batch, begun, decisions, strict=True):
            self._answer(envelope, decision, appended)
            if span is not None:
                end_append(span, decision)
        for event_type, count in appended.items():
            self._telemetry.count("events_appended_total", count, type=event_type)
            self._telemetry.observe("store_append_duration_seconds", took_s, count)

    def _work(self, request: Request) -> Work[Decision]:
        at_ms = int(self._host.clock.wall() * 1000)
        if not isinstance(request, Execute):  # services name their events themselves
            return partial(decide, self._log, request, Fresh(at_ms))
        # One draw: what a command makes shares its id, and says by the prefix what it is.
        event_id = self._host.ids.new("evt")
        drawn = event_id.removeprefix("evt")
        fresh = Fresh(
            at_ms,
            order_id=f"ord{drawn}",
            event_id=event_id,
            payment_ref=f"pay{drawn}",
            customer_ref=f"cus{drawn}",
            address_ref=f"adr{drawn}",
        )
        return partial(decide, self._log, request, fresh)

    def _answer(
        self,
        envelope: Envelope[Request],
        decision: Decision | Exception,
        appended: dict[str, int],
    ) -> None:
        if isinstance(decision, Exception):
            self._count_failure(decision)
            envelope.fail(decision)
        elif isinstance(decision.answer, Rejection):
            self._count_failure(decision.answer)
            envelope.fail(decision.answer)
        else:
            if decision.appended is not None:
                self._tell_appended(decision.appended, appended)
            envelope.reply(decision.answer)

    def _tell_appended(self, event: Event, appended: dict[str, int]) -> None:
        event_type = event.type.name
        appended[event_type] = appended.get(event_type, 0) + 1
        self._telemetry.event(
            "event.appended",
            "debug",
            stream=event.order_id,
            type=event_type,
            version=event.version,
            position=event.position,
        )

    def _count_failure(self, failure: Exception) -> None:
        if isinstance(failure, Rejection):
            if failure.code in ("version-mismatch", "version-conflict"):
                self._telemetry.count("version_conflicts_total")
        elif not isinstance(failure, Unavailable):
            # A bug of ours, in one request: its asker is told, the others were not affected.
            self._telemetry.event(
                "order_events.failed",
                "error",
                error=describe_error(failure),
                where=where_raised(failure),
            )
