"""Publishing with confirms, on a connection of its own.

Its law: an answer is given only after the broker's, or after the channel that might still deliver
the message has been cut; so a second publish of the same message never races the first.
"""

from collections.abc import Sequence

import anyio

from runtime import tracing
from runtime.amqp.confirms import ConfirmChannel, Flight
from runtime.amqp.link import Link
from runtime.amqp.session import Session
from runtime.errors import BrokerLost, DeadlineExceeded, PublishRefused, Unavailable, Unprocessable
from runtime.message import Message, MessageType
from runtime.publishing import Outgoing
from runtime.redaction import printable
from runtime.telemetry import Telemetry
from runtime.tracing import TRACEPARENT, Span


class LinkPublisher:
    """A `runtime.publishing.Publisher` over one `Link`; safe to use from many tasks.

    ``deadline_s`` bounds the wait for a session, and then the wait for each confirm. A confirm that
    is overdue costs the session: a blocked or silent broker is seen here long before its heartbeat.
    """

    def __init__(self, link: Link, telemetry: Telemetry, *, deadline_s: float = 10.0) -> None:
        self._link = link
        self._telemetry = telemetry
        self._deadline_s = deadline_s
        self._opening = anyio.Lock()
        self._session: Session | None = None
        self._channel: ConfirmChannel | None = None

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """Publish one message; see `publish_batch`. Raises what went wrong."""
        (failure,) = await self.publish_batch([Outgoing(exchange, routing_key, message)])
        if failure is not None:
            raise failure

    async def publish_batch(self, batch: Sequence[Outgoing]) -> list[Exception | None]:
        """Publish mandatory and persistent, pipelined; return one outcome for each message.

        None: confirmed and not returned. `PublishRefused`: nacked, or no queue took it.
        `BrokerLost`, `DeadlineExceeded`: unknown. `Unprocessable`: no frame can carry it. After the
        channel is lost the rest of the batch is not sent, which keeps the order of a batch.
        """
        spans = self._begin(batch)
        try:
            session, channel = await self._ready()
        except Unavailable as error:
            outcomes: list[Exception | None] = [BrokerLost(str(error)) for _ in batch]
        else:
            outcomes = await self._through(session, channel, batch)
        for outgoing, outcome in zip(batch, outcomes, strict=True):
            self._count(outgoing, outcome)
        for span, outcome in zip(spans, outcomes, strict=False):
            if outcome is not None:
                span.fail(type(outcome).__name__)
            span.end()
        return outcomes

    def _begin(self, batch: Sequence[Outgoing]) -> list[Span]:
        """Begin a span for each message, below what it follows from; none if nobody collects."""
        spans = self._telemetry.spans
        if spans is None:
            return []
        working_on = tracing.current()
        return [
            spans.begin(
                f"publish {outgoing.exchange or outgoing.routing_key}",
                "producer",
                working_on or tracing.well_formed(outgoing.message.headers.get(TRACEPARENT)),
                {
                    "messaging.system": "rabbitmq",
                    "messaging.operation.type": "send",
                    "messaging.destination.name": outgoing.exchange or outgoing.routing_key,
                    "messaging.rabbitmq.destination.routing_key": outgoing.routing_key,
                    "messaging.message.id": outgoing.message.message_id,
                    "ordermill.message.type": printable(outgoing.message.type),
                },
            )
            for outgoing in batch
        ]

    async def _through(
        self, session: Session, channel: ConfirmChannel, batch: Sequence[Outgoing]
    ) -> list[Exception | None]:
        flights: list[Flight] = []
        done = 0
        while done < len(batch) and channel.failure is None:
            flight = channel.send(batch[done:] if done else batch)
            if flight.outcomes:
                flights.append(flight)
                done += len(flight.outcomes)
            else:
                await self._landing(session, channel, channel.progress, anyio.current_time())
        outcomes: list[Exception | None] = []
        for flight in flights:
            await self._landing(session, channel, flight.landed, flight.sent_at)
            outcomes += flight.outcomes
        if channel.failure is not None:
            session.abandon(str(channel.failure))
        if None in outcomes:
            self._link.flowing()
        outcomes += [BrokerLost("the channel ended before it was sent") for _ in batch[done:]]
        return outcomes

    async def _landing(
        self, session: Session, channel: ConfirmChannel, event: anyio.Event, since: float
    ) -> None:
        left = since + self._deadline_s - anyio.current_time()
        with anyio.move_on_after(max(left, 0)):
            await event.wait()
        if not event.is_set():
            late = f"no confirm within {self._deadline_s:g} s"
            self._link.stalled(session, late)
            channel.fail(DeadlineExceeded(f"{late}: whether the broker has it is unknown"))

    async def _ready(self) -> tuple[Session, ConfirmChannel]:
        with anyio.move_on_after(self._deadline_s):
            session = await self._link.session()
            async with self._opening:
                channel = self._channel
                if channel is None or channel.failure is not None or self._session is not session:
                    channel = await session.channel(ConfirmChannel)
                    self._session, self._channel = session, channel
            return session, channel
        raise BrokerLost(f"not connected to the broker ({self._link.state.reason})")

    def _count(self, outgoing: Outgoing, outcome: Exception | None) -> None:
        match outcome:
            case None:
                result = "ok"
            case PublishRefused():
                result = "refused"
            case _:
                result = "lost"
        self._telemetry.count(
            "messages_published_total",
            exchange=outgoing.exchange,
            type=_label(outgoing.message.type),
            result=result,
        )


def _label(message_type: str) -> str:
    try:
        return MessageType.parse(message_type).name
    except Unprocessable:
        return "malformed"
