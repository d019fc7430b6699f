"""An actor: state that one task alone touches, fed through a bounded mailbox.

    asker                      mailbox                       actor's task
    ask(message, deadline) --> [ ... message ] --receive-->  receive(message)
      waits                                                    returns a value, or raises
      <------------------------- reply ----------------------  a Rejection or an Unavailable

The laws: messages are worked on in order, one at a time (or one batch at a time). The mailbox
belongs to the `ActorRef` and outlives the actor, so what waits in it survives a crash. A cancelled
asker cancels its waiting and nothing else. A `Rejection` or `Unavailable` raised by `receive` is an
answer; any other exception is a crash, and who asked is told that the outcome is unknown.
An actor that asks itself waits for its own deadline.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Generic, TypeVar, cast

import anyio
from anyio.lowlevel import checkpoint

from runtime.child import ChildContext, ChildSpec, Restart
from runtime.deadlines import Deadlines
from runtime.endings import StrayCancellation, was_meant
from runtime.errors import DeadlineExceeded, MailboxClosed, Rejection, Unavailable
from runtime.host import Signal, give_signal, new_signal
from runtime.mailbox import Mailbox, MailboxStatistics

M = TypeVar("M")

_OUTCOME_UNKNOWN = "the actor crashed over this: the outcome is unknown"


class Envelope(Generic[M]):
    """A message and, if somebody asked, the way back. The first answer counts, others are dropped.

    A message that was told has no way back: its answers go nowhere.
    """

    __slots__ = ("_answered", "_failure", "_told", "_value", "message")

    def __init__(self, message: M, told: Signal | None = None) -> None:
        self.message = message
        self._told = told
        self._answered = False
        self._value: object = None
        self._failure: Exception | None = None

    def reply(self, value: object) -> None:
        """Answer with ``value``."""
        if not self._answered:
            self._answered = True
            self._value = value
            if self._told is not None:
                give_signal(self._told)

    def fail(self, failure: Exception) -> None:
        """Answer with an error, which the asker's `ActorRef.ask` raises."""
        if not self._answered:
            self._failure = failure
            self.reply(None)

    def expire(self) -> None:
        """Answer that nobody answered in time."""
        self.fail(DeadlineExceeded("no answer in time: the outcome is unknown"))

    async def answer(self) -> object:
        """Wait for the answer; return or raise it, once."""
        if not self._answered and self._told is not None:
            await self._told
        failure, self._failure = self._failure, None
        if failure is None:
            return self._value
        try:
            raise failure
        finally:
            del failure  # it holds this frame: else only the collector would free either


class Actor(Generic[M]):
    """State and behaviour. Subclass it and write `receive`, or `receive_batch` to decide together.

    A new object is made for every incarnation: what must survive belongs into a store.
    """

    async def start(self) -> None:
        """Prepare, before the first message (load what is needed to decide)."""

    async def receive(self, message: M) -> object:
        """Work on one message; what is returned or refused is the answer to who asked."""
        raise TypeError(f"{type(self).__name__} receives batches only")

    async def receive_batch(self, batch: Sequence[Envelope[M]]) -> None:
        """Work on a batch, in order, and answer each envelope (now or later).

        A refusal that is raised answers all that are open. A crash fails all that are open: the
        batch is one piece of work. Actors that do not override this are fed one by one.
        """
        for envelope in batch:
            await _receive_one(self, envelope)


class ActorRef(Generic[M]):
    """The address of an actor: stable over its restarts, and owner of its mailbox.

    ``tell(message)`` sends without wanting an answer; raises `MailboxFull` or `MailboxClosed`. It
    is the mailbox's own method, because a call in between costs a tenth of the whole way.
    """

    def __init__(self, name: str, capacity: int = 1024) -> None:
        self.name = name
        self.mailbox: Mailbox[M | Envelope[M]] = Mailbox(capacity)
        self.deadlines: Deadlines | None = None
        self.tell: Callable[[M], None] = self.mailbox.put_nowait

    async def ask(self, message: M, deadline_s: float) -> object:
        """Send and wait for the answer; raises what `Actor.receive` refused with.

        Also raises `MailboxFull` and `MailboxClosed` (the message was not sent), and
        `DeadlineExceeded` or `Unavailable` (it was: the outcome is unknown).
        """
        envelope = Envelope(message, new_signal())
        self.mailbox.put_nowait(envelope)
        deadlines = self.deadlines
        if deadlines is None or not deadlines.running:
            with anyio.move_on_after(deadline_s):
                return await envelope.answer()
            envelope.expire()
            return await envelope.answer()
        slot = deadlines.add(envelope, deadline_s)
        try:
            return await envelope.answer()
        finally:
            deadlines.drop(envelope, slot)

    def peek(self, most: int) -> list[tuple[M, float | None]]:
        """Return the oldest messages in the mailbox, and how long whoever asks still waits.

        None: it was told, or nobody counts.
        """
        found: list[tuple[M, float | None]] = []
        for item in self.mailbox.peek(most):
            if not isinstance(item, Envelope):
                found.append((item, None))
            elif not isinstance(item.message, _Stop):
                left_s = None if self.deadlines is None else self.deadlines.left_s(item)
                found.append((item.message, left_s))
        return found

    def statistics(self) -> MailboxStatistics:
        """Return the mailbox's figures."""
        return self.mailbox.statistics()


def actor_child(
    name: str,
    factory: Callable[[], Actor[M]],
    ref: ActorRef[M],
    *,
    batch_max: int = 256,
    restart: Restart = "permanent",
    shutdown_s: float = 5.0,
) -> ChildSpec:
    """Return the child that runs the actor behind ``ref``.

    ``factory`` makes each incarnation's actor. Told to stop, the actor first works on what is in
    its mailbox at that moment; what comes later stays there for the next incarnation.
    """

    async def run(context: ChildContext) -> None:
        actor = factory()
        await actor.start()
        ref.deadlines = context.deadlines
        loop = _Loop(actor, ref.mailbox, context.stopping)
        async with anyio.create_task_group() as group:
            group.start_soon(loop.mark_stop)
            context.started()
            await loop.run(batch_max)
            group.cancel_scope.cancel()

    return ChildSpec(name, run, restart, shutdown_s)


class _Stop:
    """The message of the mark that ends an incarnation's work."""


async def _receive_one(actor: Actor[M], envelope: Envelope[M]) -> None:
    try:
        value = await actor.receive(envelope.message)
    except (Rejection, Unavailable) as refusal:
        envelope.fail(refusal)
    except BaseException:
        envelope.fail(Unavailable(_OUTCOME_UNKNOWN))
        raise
    else:
        envelope.reply(value)


class _Loop(Generic[M]):
    """One incarnation's work: batches from the mailbox, until its own mark comes along."""

    def __init__(
        self, actor: Actor[M], mailbox: "Mailbox[M | Envelope[M]]", stopping: anyio.Event
    ) -> None:
        self._actor = actor
        self._mailbox = mailbox
        self._stopping = stopping
        # The mark of an incarnation that crashed before it came to it stays in the mailbox, and
        # means nothing to the next one.
        self._mark: Envelope[M] = Envelope(cast("M", _Stop()))
        self._over = False

    async def mark_stop(self) -> None:
        """Put the mark behind what waits in the mailbox when the actor is told to stop."""
        await self._stopping.wait()
        with suppress(MailboxClosed):
            await self._mailbox.put(self._mark)

    async def run(self, batch_max: int) -> None:
        """Work until the mark, or until the mailbox is closed and empty."""
        batching = type(self._actor).receive_batch is not Actor.receive_batch
        work = self._together if batching else self._one_by_one
        mailbox = self._mailbox
        while True:
            try:
                batch = await mailbox.receive_batch(batch_max)
            except MailboxClosed:
                return
            pending = iter(batch)
            try:
                await work(pending)
            except anyio.get_cancelled_exc_class():
                if was_meant():
                    raise
                raise StrayCancellation("receive was cancelled from outside") from None
            finally:
                mailbox.put_back(pending)
            if self._over:
                return
            if len(mailbox):
                await checkpoint()  # an actor that feeds itself must not starve the others

    async def _one_by_one(self, pending: Iterator[M | Envelope[M]]) -> None:
        receive = self._actor.receive
        for item in pending:
            if not isinstance(item, Envelope):
                try:
                    await receive(item)
                except (Rejection, Unavailable):
                    continue  # nobody asked
            elif not isinstance(item.message, _Stop):
                await _receive_one(self._actor, item)
            elif item is self._mark:
                self._over = True
                return

    async def _together(self, pending: Iterator[M | Envelope[M]]) -> None:
        batch: list[Envelope[M]] = []
        for item in pending:
            if not isinstance(item, Envelope):
                batch.append(Envelope(item))
            elif not isinstance(item.message, _Stop):
                batch.append(item)
            elif item is self._mark:
                self._over = True
                break
        if not batch:
            return
        try:
            await self._actor.receive_batch(batch)
        except (Rejection, Unavailable) as refusal:
            _fail_all(batch, refusal)
        except BaseException:
            _fail_all(batch, Unavailable(_OUTCOME_UNKNOWN))
            raise


def _fail_all(batch: Sequence[Envelope[M]], failure: Exception) -> None:
    for envelope in batch:
        envelope.fail(failure)
