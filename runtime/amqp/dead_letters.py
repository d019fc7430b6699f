"""What was parked in a ``.dead`` queue, for an operator: to look at, to give back, to throw away.

Its law: looking loses nothing (every message is taken without an ack, and closing the channel puts
it back, in place); giving back is a confirmed publish to the origin queue first and the ack second,
so dying in between leaves the message in both, and the inbox discards the second. A message that is
given back keeps its id, says ``x-replayed``, and has its attempts before it again.
"""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import anyio
import msgspec
from aiormq.abc import DeliveredMessage

from runtime.amqp.link import Link
from runtime.amqp.look import Look
from runtime.amqp.redrive import REDRIVEN
from runtime.amqp.session import plain
from runtime.amqp.wire import death, properties_to_message, salvage
from runtime.errors import BrokerLost, Unprocessable
from runtime.host import Ids
from runtime.inbox import REPLAYED
from runtime.message import ATTEMPT, REQUEUED, HeaderValue, Message
from runtime.outcomes import ERROR, ORIGIN_QUEUE, PARKED_AT, REASON, Attempt, attempts_of
from runtime.publishing import Publisher

LOOK_MAX = 5000
_OF_THE_PAST = (REQUEUED, ATTEMPT, REASON, ERROR, PARKED_AT, ORIGIN_QUEUE, REDRIVEN)


class DeadLetter(msgspec.Struct, frozen=True):
    """One parked message, without its body.

    ``reason`` is ours (malformed, exhausted, ...) or the broker's (delivery_limit), ``error`` the
    class of the last error, ``parked_at_s`` Unix time or 0. ``returned``: an operator had given it
    back before, and it came here again. ``history`` are the latest attempts, those before it was
    given back included.
    """

    id: str
    queue: str
    type: str
    reason: str
    error: str
    attempts: int
    parked_at_s: int
    returned: bool
    correlation_id: str
    size: int
    history: list[Attempt] = []


class Wanted(msgspec.Struct, frozen=True):
    """Which ones: those with these ``ids`` (empty: any) and of this type's name (None: any)."""

    ids: tuple[str, ...] = ()
    type: str | None = None
    max: int = 500

    def takes(self, letter: DeadLetter) -> bool:
        """Whether the letter is one of them."""
        named = not self.ids or letter.id in self.ids
        return named and self.type in (None, letter.type.rpartition("/v")[0])


class Seen:
    """The answer to one question: ``letters``, oldest first, and the ``first`` of them as it is."""

    def __init__(self) -> None:
        self.letters: list[DeadLetter] = []
        self.first: Message | None = None

    def add(self, letter: DeadLetter, message: Message) -> None:
        """Take in the next one."""
        self.first = self.first or message
        self.letters.append(letter)


Deal = Callable[[DeadLetter, Message], Awaitable[bool]]
"""What to do with a letter; True takes it out of the queue."""


class DeadLetters:
    """The ``.dead`` queue of ``queue``; ``looking`` is shared with whoever else takes from it."""

    def __init__(self, link: Link, publisher: Publisher, queue: str, looking: anyio.Lock) -> None:
        self.queue = queue
        self._link = link
        self._publisher = publisher
        self._looking = looking

    async def look(self, questions: Sequence[Wanted]) -> list[Seen]:
        """Return, for each question, the first ``max`` of those wanted, among the first 5000 there.

        However many questions, the queue is gone through once.
        """
        answers = [Seen() for _ in questions]
        open_ = list(zip(questions, answers, strict=True))
        async with self._looking_through() as look:
            while look.held < LOOK_MAX:
                open_ = [(wanted, seen) for wanted, seen in open_ if len(seen.letters) < wanted.max]
                found = await look.next() if open_ else None
                if found is None:
                    break
                letter, message = self._read(found)
                for wanted, seen in open_:
                    if wanted.takes(letter):
                        seen.add(letter, message)
        return answers

    async def replay(self, wanted: Wanted) -> list[DeadLetter]:
        """Give those wanted back to their queue; return them.

        `BrokerLost`, `PublishRefused` or `DeadlineExceeded` part of the way: the rest is still
        here, and asking again is safe.
        """

        async def give_back(_: DeadLetter, message: Message) -> bool:
            await self._publisher.publish("", self.queue, replayed_copy(message))
            return True

        return await self._visit(wanted, give_back)

    async def discard(self, wanted: Wanted) -> list[DeadLetter]:
        """Take those wanted out, for good; return them."""
        return await self._visit(wanted, _take)

    async def _visit(self, wanted: Wanted, deal: Deal) -> list[DeadLetter]:
        async with self._looking_through() as look:
            return await self._look_through(look, wanted, deal)

    @asynccontextmanager
    async def _looking_through(self) -> AsyncIterator[Look]:
        if self._link.state.state != "connected":
            raise BrokerLost(f"not connected to the broker ({self._link.state.reason})")
        async with self._looking:
            session = await self._link.session()
            look = Look(session, await session.channel(plain), self.queue)
            try:
                yield look
            finally:
                await look.put_back()

    async def _look_through(self, look: Look, wanted: Wanted, deal: Deal) -> list[DeadLetter]:
        dealt: list[DeadLetter] = []
        while len(dealt) < wanted.max and look.held < LOOK_MAX:
            found = await look.next()
            if found is None:
                break
            letter, message = self._read(found)
            if not wanted.takes(letter):
                continue
            if await deal(letter, message):
                await look.take(found)
            dealt.append(letter)
        return dealt

    def _read(self, found: DeliveredMessage) -> tuple[DeadLetter, Message]:
        properties, body = found.header.properties, found.body
        try:
            message = properties_to_message(properties, body)
        except Unprocessable:
            digest = hashlib.sha256(body).hexdigest()
            name = Ids.derived("bad", self.queue, digest)
            message = salvage(properties, body, message_id=name)
        headers = message.headers
        parked_at_s = headers.get(PARKED_AT, 0)
        letter = DeadLetter(
            id=message.message_id,
            queue=self.queue,
            type=message.type,
            reason=str(headers.get(REASON, "") or death(properties)),
            error=str(headers.get(ERROR, "")),
            attempts=message.attempt,
            parked_at_s=parked_at_s if isinstance(parked_at_s, int) else 0,
            returned=headers.get(REPLAYED) is True,
            correlation_id=message.correlation_id,
            size=len(body),
            history=attempts_of(message),
        )
        return letter, message


def replayed_copy(message: Message) -> Message:
    """Copy of a parked message as it is given back: same identity, no past, and marked."""
    headers: dict[str, HeaderValue] = {
        name: value for name, value in message.headers.items() if name not in _OF_THE_PAST
    }
    return msgspec.structs.replace(message, headers={**headers, REPLAYED: True})


async def _take(_: DeadLetter, __: Message) -> bool:
    return True
