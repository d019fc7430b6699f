import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import anyio
import pytest
from anyio.lowlevel import checkpoint

from runtime.actor import Actor, ActorRef, Envelope, actor_child
from runtime.child import ChildContext, ChildSpec
from runtime.deadlines import Deadlines
from runtime.endings import StrayCancellation, sole_error
from runtime.errors import (
    DeadlineExceeded,
    MailboxClosed,
    MailboxFull,
    Rejection,
    StoreBroken,
    Unavailable,
)
from runtime.host import new_signal, production_host


async def settle() -> None:
    for _ in range(8):
        await checkpoint()


@dataclass
class SetClock:
    """A clock that goes when it is told to."""

    now_s: float = 100.0

    def monotonic(self) -> float:
        return self.now_s

    def wall(self) -> float:
        return self.now_s


@dataclass
class World:
    """What an actor of these tests sees, over all its incarnations."""

    log: list[str] = field(default_factory=list)
    hold: anyio.Event = field(default_factory=anyio.Event)


class Worker(Actor[str]):
    def __init__(self, world: World) -> None:
        self.world = world

    async def start(self) -> None:
        self.world.log.append("start")

    async def receive(self, message: str) -> object:
        match message:
            case "reject":
                raise Rejection("no", "not allowed")
            case "busy":
                raise Unavailable("try later")
            case "crash":
                raise ValueError("planted")
            case "broken":
                raise StoreBroken("planted")
            case "stray":
                raise asyncio.CancelledError
            case "hold":
                await self.world.hold.wait()
        self.world.log.append(message)
        return message.upper()


class Batcher(Actor[str]):
    def __init__(self, world: World) -> None:
        self.world = world

    async def receive_batch(self, batch: Sequence[Envelope[str]]) -> None:
        messages = [envelope.message for envelope in batch]
        self.world.log.append("+".join(messages))
        for envelope in batch:
            match envelope.message:
                case "crash":
                    raise ValueError("planted")
                case "reject":
                    raise Rejection("no", "not allowed")
                case "fail":
                    envelope.fail(Rejection("no", "alone"))
            envelope.reply(envelope.message.upper())


async def run_once(child: ChildSpec, context: ChildContext) -> BaseException | None:
    """Run one incarnation; return what it ended with."""
    try:
        await child.run(context)
    except (Exception, StoreBroken, BaseExceptionGroup) as error:
        return sole_error(error)
    return None


@asynccontextmanager
async def serving(child: ChildSpec, deadlines: Deadlines | None = None) -> AsyncIterator[None]:
    started = anyio.Event()
    context = ChildContext("worker", started.set, deadlines)
    async with anyio.create_task_group() as group:
        group.start_soon(child.run, context)
        with anyio.fail_after(10):
            await started.wait()
            yield
            context.stopping.set()


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def ref() -> ActorRef[str]:
    return ActorRef("worker", capacity=8)


@pytest.fixture
def child(world: World, ref: ActorRef[str]) -> ChildSpec:
    return actor_child("worker", lambda: Worker(world), ref)


async def test_told_messages_are_worked_on_in_order(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    async with serving(child):
        for message in "abc":
            ref.tell(message)
    assert world.log == ["start", "a", "b", "c"]


async def test_an_ask_returns_the_reply(ref: ActorRef[str], child: ChildSpec) -> None:
    async with serving(child):
        assert await ref.ask("a", 5.0) == "A"


@pytest.mark.parametrize(("message", "error"), [("reject", Rejection), ("busy", Unavailable)])
async def test_a_refusal_travels_to_the_asker_and_is_no_crash(
    ref: ActorRef[str], child: ChildSpec, message: str, error: type[Exception]
) -> None:
    async with serving(child):
        with pytest.raises(error):
            await ref.ask(message, 5.0)
        ref.tell(message)
        assert await ref.ask("a", 5.0) == "A"


@pytest.mark.parametrize(
    ("message", "error"),
    [("crash", ValueError), ("stray", StrayCancellation), ("broken", StoreBroken)],
)
async def test_a_crash_leaves_the_asker_with_an_unknown_outcome(
    ref: ActorRef[str], child: ChildSpec, message: str, error: type[BaseException]
) -> None:
    ends: list[BaseException | None] = []

    async def run() -> None:
        ends.append(await run_once(child, ChildContext("worker")))

    async with anyio.create_task_group() as group:
        group.start_soon(run)
        with pytest.raises(Unavailable, match="outcome is unknown"):
            await ref.ask(message, 5.0)
    assert isinstance(ends[0], error)


@pytest.mark.parametrize("crash", ["crash", "stray"])
async def test_what_waits_survives_a_crash_in_its_order(
    world: World, ref: ActorRef[str], child: ChildSpec, crash: str
) -> None:
    for message in ("a", crash, "b", "c"):
        ref.tell(message)
    assert await run_once(child, ChildContext("worker")) is not None
    async with serving(child):
        ref.tell("d")
    assert world.log == ["start", "a", "start", "b", "c", "d"]


async def test_a_cancelled_asker_cancels_nothing_but_its_waiting(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    async with serving(child):
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as group:
                group.start_soon(ref.ask, "hold", 5.0)
                await settle()
                scope.cancel()
        native = asyncio.create_task(ref.ask("b", 5.0))
        await settle()
        native.cancel()
        await asyncio.gather(native, return_exceptions=True)
        assert world.log == ["start"]
        world.hold.set()
    assert world.log == ["start", "hold", "b"]


@pytest.mark.parametrize("timer", [False, True], ids=["own scope", "shared timer"])
async def test_a_deadline_passes_and_the_command_is_carried_out_all_the_same(
    world: World, ref: ActorRef[str], child: ChildSpec, timer: bool, tmp_path: object
) -> None:
    deadlines = Deadlines(production_host(tmp_path).clock)  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        if timer:
            group.start_soon(deadlines.run)
            await settle()
        async with serving(child, deadlines):
            with pytest.raises(DeadlineExceeded, match="outcome is unknown"):
                await ref.ask("hold", 0.001)
            world.hold.set()
            assert await ref.ask("a", 5.0) == "A"
        assert world.log == ["start", "hold", "a"]
        group.cancel_scope.cancel()


async def test_asks_are_answered_with_the_shared_timer_too(
    ref: ActorRef[str], child: ChildSpec, tmp_path: object
) -> None:
    deadlines = Deadlines(production_host(tmp_path).clock)  # type: ignore[arg-type]
    async with anyio.create_task_group() as group:
        group.start_soon(deadlines.run)
        await settle()
        async with serving(child, deadlines):
            assert await ref.ask("a", 5.0) == "A"
            with pytest.raises(Rejection):
                await ref.ask("reject", 5.0)
        group.cancel_scope.cancel()


async def test_a_full_mailbox_refuses_tell_and_ask(ref: ActorRef[str]) -> None:
    for _ in range(8):
        ref.tell("a")
    with pytest.raises(MailboxFull):
        ref.tell("b")
    with pytest.raises(MailboxFull):
        await ref.ask("b", 5.0)
    assert ref.statistics().depth == 8


async def test_told_to_stop_the_actor_works_on_what_is_there_and_no_further(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    context = ChildContext("worker")
    async with anyio.create_task_group() as group:
        group.start_soon(child.run, context)
        ref.tell("hold")
        ref.tell("a")
        await settle()
        context.stopping.set()
        await settle()
        ref.tell("later")
        world.hold.set()
    assert world.log == ["start", "hold", "a"]
    async with serving(child):
        await settle()
    assert world.log == ["start", "hold", "a", "start", "later"]


async def test_a_stop_mark_left_by_a_crash_means_nothing_to_the_next_incarnation(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    context = ChildContext("worker")
    async with anyio.create_task_group() as group:
        group.start_soon(run_once, child, context)
        for message in ("hold", "crash", "a"):
            ref.tell(message)
        await settle()
        context.stopping.set()
        await settle()
        world.hold.set()
    async with serving(child):
        assert await ref.ask("b", 5.0) == "B"
    assert world.log == ["start", "hold", "start", "a", "b"]


async def test_a_full_mailbox_does_not_keep_an_actor_from_stopping(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    async with serving(child):
        ref.tell("hold")
        await settle()
        for _ in range(8):
            ref.tell("a")
        world.hold.set()
    assert world.log.count("a") == 8


async def test_an_actor_whose_mailbox_closes_ends(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    ref.tell("a")
    ref.mailbox.close()
    context = ChildContext("worker")
    await child.run(context)
    assert world.log == ["start", "a"]
    with pytest.raises(MailboxClosed):
        await ref.ask("b", 5.0)
    context.stopping.set()
    await child.run(context)


async def test_a_cancelled_actor_tells_the_asker_and_keeps_the_rest(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    failures: list[Exception] = []

    async def ask(message: str) -> None:
        try:
            await ref.ask(message, 5.0)
        except Unavailable as error:
            failures.append(error)

    async with anyio.create_task_group() as askers:
        async with anyio.create_task_group() as actor:
            actor.start_soon(child.run, ChildContext("worker"))
            askers.start_soon(ask, "hold")
            await settle()
            askers.start_soon(ask, "a")
            await settle()
            actor.cancel_scope.cancel()
        await settle()
        assert [str(failure) for failure in failures] == [
            "the actor crashed over this: the outcome is unknown"
        ]
        async with serving(child):
            await settle()
    assert world.log == ["start", "start", "a"]


async def test_an_actor_that_feeds_itself_leaves_time_for_others(ref: ActorRef[str]) -> None:
    class Perpetual(Actor[str]):
        async def receive(self, message: str) -> object:
            ref.tell(message)
            return None

    ref.tell("again")
    async with serving(actor_child("worker", Perpetual, ref)):
        await settle()
    assert ref.statistics().received > 1


async def test_a_batching_actor_gets_what_waits_up_to_its_limit(
    world: World, ref: ActorRef[str]
) -> None:
    for message in "abcde":
        ref.tell(message)
    async with serving(actor_child("worker", lambda: Batcher(world), ref, batch_max=3)):
        await settle()
    assert world.log == ["a+b+c", "d+e"]


async def ask_all(ref: ActorRef[str], *messages: str) -> list[object]:
    answers: list[object] = [None] * len(messages)

    async def ask(index: int, message: str) -> None:
        try:
            answers[index] = await ref.ask(message, 5.0)
        except (Rejection, Unavailable) as error:
            answers[index] = str(error)

    async with anyio.create_task_group() as group:
        for index, message in enumerate(messages):
            group.start_soon(ask, index, message)
    return answers


async def test_in_a_batch_each_envelope_has_its_own_answer(
    world: World, ref: ActorRef[str]
) -> None:
    async with serving(actor_child("worker", lambda: Batcher(world), ref)):
        assert await ask_all(ref, "a", "fail", "b") == ["A", "alone", "B"]


async def test_a_refusal_raised_by_a_batch_answers_those_still_open(
    world: World, ref: ActorRef[str]
) -> None:
    async with serving(actor_child("worker", lambda: Batcher(world), ref)):
        assert await ask_all(ref, "a", "reject", "b") == ["A", "not allowed", "not allowed"]
        assert await ref.ask("c", 5.0) == "C"


async def test_a_batch_that_crashes_leaves_all_that_are_open_unknown(
    world: World, ref: ActorRef[str]
) -> None:
    child = actor_child("worker", lambda: Batcher(world), ref)
    async with anyio.create_task_group() as group:
        group.start_soon(run_once, child, ChildContext("worker"))
        unknown = "the actor crashed over this: the outcome is unknown"
        assert await ask_all(ref, "a", "crash", "b") == ["A", unknown, unknown]


async def test_only_the_first_answer_counts() -> None:
    envelope: Envelope[str] = Envelope("a")
    envelope.reply(1)
    envelope.reply(2)
    envelope.fail(ValueError())
    envelope.expire()
    assert await envelope.answer() == 1


async def test_an_actor_must_say_how_it_receives(ref: ActorRef[str]) -> None:
    ref.tell("a")
    child = actor_child("worker", Actor[str], ref)
    error = await run_once(child, ChildContext("worker"))
    assert isinstance(error, TypeError)


async def test_the_default_batch_is_one_by_one(world: World) -> None:
    told: Envelope[str] = Envelope("a")
    refused: Envelope[str] = Envelope("reject")
    await Worker(world).receive_batch([told, refused])
    assert await told.answer() == "A"
    with pytest.raises(Rejection):
        await refused.answer()


async def test_a_look_into_the_mailbox_tells_how_long_whoever_asks_still_waits(
    world: World, ref: ActorRef[str], child: ChildSpec
) -> None:
    clock = SetClock()
    deadlines = Deadlines(clock)
    async with anyio.create_task_group() as timer:
        timer.start_soon(deadlines.run)
        async with serving(child, deadlines), anyio.create_task_group() as askers:
            ref.tell("hold")
            await settle()
            askers.start_soon(ref.ask, "a", 5.0)
            await settle()
            ref.tell("b")
            clock.now_s += 2.0
            (asked, told) = ref.peek(8)
            assert (asked[0], asked[1]) == ("a", pytest.approx(3.0, abs=0.06))
            assert told == ("b", None)
            assert ref.peek(1) == [asked]
            world.hold.set()
        assert ref.peek(8) == []
        timer.cancel_scope.cancel()
    assert world.log == ["start", "hold", "a", "b"]


async def test_an_answer_that_is_an_error_is_freed_without_the_collector() -> None:
    async def asked() -> "weakref.ref[Rejection]":
        envelope = Envelope("x", new_signal())
        envelope.fail(Rejection("no", "because"))
        try:
            await envelope.answer()
        except Rejection as refusal:
            return weakref.ref(refusal)
        raise AssertionError("it was refused")

    gc.disable()
    try:
        assert (await asked())() is None
    finally:
        gc.enable()
