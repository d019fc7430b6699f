"""Gives messages another chance that the broker, not we, took out of their queue.

Its law: only what died by the delivery limit and can be read goes back, unchanged, at most three
times; what we parked stays parked. A delivery limit counts every delivery that came back, so a
process that is killed again and again can exhaust it for messages that nobody ever worked on.
"""

import anyio
import msgspec
from aiormq.abc import DeliveredMessage

from runtime.amqp.link import Link
from runtime.amqp.look import Look, count
from runtime.amqp.session import Session, plain
from runtime.amqp.wire import death, properties_to_message
from runtime.child import ChildContext, ChildSpec
from runtime.errors import Unavailable, Unprocessable
from runtime.message import Message
from runtime.publishing import Publisher
from runtime.telemetry import Telemetry

EVERY_S = 30.0
LOOK_MAX = 1000
CHANCES = 3
REDRIVEN = "x-redriven"


class Redrive:
    """Watches the ``.dead`` queue of ``queue``: counts it, and takes back what died of deliveries.

    It looks through the first thousand entries, and only when their number has changed.
    """

    def __init__(self, link: Link, publisher: Publisher, queue: str, telemetry: Telemetry) -> None:
        self.queue = queue
        #: Held by who takes messages from the queue to look at them: to others it seems empty.
        self.looking = anyio.Lock()
        self._link = link
        self._publisher = publisher
        self._telemetry = telemetry
        self._seen = 0

    def child(self) -> ChildSpec:
        """Return what the supervisor needs to keep this watch alive."""
        return ChildSpec(name=f"redrive-{self.queue}", run=self.run)

    async def run(self, context: ChildContext) -> None:
        """Look every thirty seconds until told to stop."""
        context.started()
        while not context.stopping.is_set():
            if self._link.state.state == "connected":
                await self._try_to_look(context.stopping)
            with anyio.move_on_after(EVERY_S):
                await context.stopping.wait()

    async def _try_to_look(self, stopping: anyio.Event) -> None:
        try:
            async with self.looking:
                await self._look(await self._link.session(), stopping)
        except (Unavailable, Unprocessable):
            self._seen = 0

    async def _look(self, session: Session, stopping: anyio.Event) -> None:
        channel = await session.channel(plain)
        look = Look(session, channel, self.queue)
        try:
            dead = await session.call(count(channel, self.queue), "count dead letters")
            if dead != self._seen:
                dead -= await self._take_back(look, min(dead, LOOK_MAX), stopping)
            self._seen = dead
            self._telemetry.gauge("dead_letters", dead, queue=self.queue)
        finally:
            await look.put_back()

    async def _take_back(self, look: Look, look_max: int, stopping: anyio.Event) -> int:
        taken = 0
        for _ in range(look_max):
            found = None if stopping.is_set() else await look.next()
            if found is None:
                break
            message = _innocent(found)
            if message is not None:
                await self._publisher.publish("", self.queue, message)
                await look.take(found)
                self._telemetry.event(
                    "message.redriven", queue=self.queue, message_id=message.message_id
                )
                taken += 1
        return taken


def _innocent(found: DeliveredMessage) -> Message | None:
    if death(found.header.properties) != "delivery_limit":
        return None
    try:
        message = properties_to_message(found.header.properties, found.body)
    except Unprocessable:
        return None
    before = message.headers.get(REDRIVEN, 0)
    chances = before if type(before) is int else 0
    if chances >= CHANCES:
        return None
    headers = {**message.headers, REDRIVEN: chances + 1}
    return msgspec.structs.replace(message, headers=headers)
