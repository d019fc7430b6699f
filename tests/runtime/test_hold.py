"""The hold: nothing acknowledged is lost, everything due is told once, in order, when it is due."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest

from runtime import hold, inbox
from runtime.child import ChildContext
from runtime.database import Database, open_database
from runtime.errors import MailboxFull
from runtime.hold import Holds
from runtime.host import Clock, production_host
from runtime.inbox import Claimed, Duplicate
from runtime.message import Message
from tests.harness.waiting import until


class SetClock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def wall(self) -> float:
        return self.now_s

    def monotonic(self) -> float:
        return self.now_s


def message(message_id: str) -> Message:
    return Message(
        message_id=message_id,
        type="happened/v1",
        body=b'{"id":"%s"}' % message_id.encode(),
        correlation_id="c",
        app_id="a",
        timestamp=1,
        headers={"traceparent": "00-1-2-01", "x-number": 1, "x-flag": True},
    )


class Service:
    """What a pipeline does with the hold: put, be told, settle."""

    def __init__(
        self, database: Database, clock: Clock, incarnation: str, **options: float
    ) -> None:
        self.database = database
        self.incarnation = incarnation
        self.told: list[Message] = []
        self.full_for: set[str] = set()
        self.refused = 0
        self.holds = Holds(database, clock, self._tell, **options)  # type: ignore[arg-type]

    def _tell(self, told: Message) -> None:
        if told.message_id in self.full_for:
            self.refused += 1
            raise MailboxFull("no room")
        self.told.append(told)

    def told_ids(self) -> list[str]:
        return [told.message_id for told in self.told]

    async def put(self, message_id: str, due_s: float) -> None:
        def work(tx: hold.Transaction) -> None:
            claimed = inbox.claim(tx, message(message_id), self.incarnation, 1)
            assert isinstance(claimed, Claimed)
            self.holds.put(tx, claimed, message(message_id), int(due_s * 1000), 1)

        await self.database.write(work)

    async def begin(self, message_id: str) -> Claimed | Duplicate:
        return await self.database.write(
            lambda tx: inbox.claim_held(tx, message_id, self.incarnation, 2)
        )

    async def settle(self, claimed: Claimed, state: inbox.Settled) -> None:
        await self.database.write(lambda tx: inbox.settle(tx, claimed, state, 3))

    async def rows(self) -> list[str]:
        query = "SELECT message_id FROM holds ORDER BY message_id"
        found = await self.database.read(lambda c: c.execute(query).fetchall())
        return [row for (row,) in found]


@asynccontextmanager
async def running(service: Service) -> AsyncIterator[None]:
    context = ChildContext("hold")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(service.holds.run, context)
        yield
        context.stopping.set()


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    disk = production_host(tmp_path).disk
    async with open_database(disk, "a.db", [inbox.SCHEMA, hold.SCHEMA]) as opened:
        yield opened


async def test_due_messages_are_told_unchanged_in_due_order(database: Database) -> None:
    clock = SetClock()
    service = Service(database, clock, "i", batch_max=2)
    for message_id, due_s in (("c", 30), ("a", 10), ("b", 20), ("later", 5000)):
        await service.put(message_id, due_s)
    async with running(service):
        await until(lambda: len(service.told) == 3)
    assert service.told == [message("a"), message("b"), message("c")]


async def test_it_wakes_when_the_next_one_is_due(database: Database, tmp_path: Path) -> None:
    clock = production_host(tmp_path).clock
    service = Service(database, clock, "i", poll_s=3600)
    async with running(service):
        due_s = clock.wall() + 0.1
        await service.put("m", due_s)
        await until(lambda: service.told)
        assert clock.wall() >= due_s


async def test_a_clock_that_was_set_forward_is_noticed_by_the_poll(database: Database) -> None:
    clock = SetClock()
    service = Service(database, clock, "i", poll_s=0.01)
    await service.put("m", 5000)
    async with running(service):
        clock.now_s = 6000
        await until(lambda: service.told)


async def test_a_clock_that_was_set_back_does_not_lengthen_a_hold_by_as_much(
    database: Database,
) -> None:
    clock = SetClock()
    service = Service(database, clock, "i", poll_s=0.01, longest_s=5.0)
    await service.put("early", clock.now_s + 5)
    clock.now_s -= 3600
    await service.put("late", clock.now_s + 5)
    async with running(service):
        await until(lambda: service.told)
    assert [one.message_id for one in service.told] == ["early"]


async def test_what_is_in_work_is_not_told_again_and_leaves_when_settled(
    database: Database,
) -> None:
    service = Service(database, SetClock(), "i", poll_s=0.01)
    for message_id in ("done", "requeued", "parked", "in work"):
        await service.put(message_id, 1)
    async with running(service):
        await until(lambda: len(service.told) == 4)
        states: tuple[inbox.Settled, ...] = ("done", "requeued", "parked")
        for state in states:
            claimed = await service.begin(state)
            assert isinstance(claimed, Claimed)
            assert (claimed.held, claimed.resumed) == (True, False)
            await service.settle(claimed, state)
        assert await service.rows() == ["in work"]
        await until(lambda: service.holds.statistics().told == 1)
        await service.put("next", 2)
        await until(lambda: "next" in service.told_ids())
    assert len(service.told) == 5


async def test_a_message_that_could_not_be_settled_can_be_told_again(database: Database) -> None:
    service = Service(database, SetClock(), "i")
    await service.put("m", 1)
    async with running(service):
        await until(lambda: len(service.told) == 1)
        service.holds.tell_again("m")
        await until(lambda: len(service.told) == 2)


async def test_a_crash_tells_again_what_was_not_settled(database: Database) -> None:
    first = Service(database, SetClock(), "one")
    await first.put("begun", 1)
    await first.put("waiting", 2)
    async with running(first):
        await until(lambda: len(first.told) == 2)
    claimed = await first.begin("begun")
    assert isinstance(claimed, Claimed)
    await database.write(lambda tx: inbox.complete_step(tx, claimed, "step", b"1", 2))

    second = Service(database, SetClock(), "two")
    async with running(second):
        await until(lambda: len(second.told) == 2)
    again = await second.begin("begun")
    assert again == Claimed("begun", "two", 0, {"step": b"1"}, resumed=True, held=True)
    with pytest.raises(inbox.Superseded):
        await first.settle(claimed, "done")
    await second.settle(again, "done")
    assert await second.begin("begun") == Duplicate("begun", "done")
    assert await second.rows() == ["waiting"]


async def test_a_restarted_timer_tells_again_what_is_not_settled(database: Database) -> None:
    service = Service(database, SetClock(), "i")
    await service.put("m", 1)
    for times in (1, 2):
        async with running(service):
            await until(lambda times=times: len(service.told) == times)


async def test_a_full_mailbox_only_delays(database: Database) -> None:
    service = Service(database, SetClock(), "i", retry_s=0.001)
    service.full_for = {"a", "b"}
    for due_s, message_id in enumerate(["a", "b", "c"]):
        await service.put(message_id, due_s)
    async with running(service):
        await until(lambda: service.refused > 10)
        assert service.told_ids() == ["c"]
        service.full_for.clear()
        await until(lambda: len(service.told) == 3)
    assert service.told_ids() == ["c", "a", "b"]
    statistics = service.holds.statistics()
    assert statistics.told_total == 3
    assert statistics.refused_total == service.refused


async def test_a_copy_from_the_broker_is_a_duplicate_while_one_is_held(database: Database) -> None:
    service = Service(database, SetClock(), "i")
    await service.put("m", 1)
    for delivery in (message("m"), message("m").as_retry(1)):
        answer = await database.write(lambda tx, d=delivery: inbox.claim(tx, d, "i", 2))
        assert answer == Duplicate("m", "held")


async def test_many_more_than_a_batch_are_all_told(database: Database) -> None:
    service = Service(database, SetClock(), "i", batch_max=10)
    for number in range(95):
        await service.put(f"{number:03}", number)
    async with running(service):
        await until(lambda: len(service.told) == 95)
    assert service.told_ids() == [f"{number:03}" for number in range(95)]
