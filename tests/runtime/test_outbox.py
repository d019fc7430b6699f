"""The relay: nothing is lost, the order of a key is kept, and a failure blocks only its own key."""

import random
import sqlite3
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from runtime import outbox
from runtime.child import ChildContext
from runtime.database import Database, open_database
from runtime.errors import (
    BrokerLost,
    DeadlineExceeded,
    PublishRefused,
    StoreUnavailable,
    Unprocessable,
)
from runtime.host import Host, production_host
from runtime.message import Message
from runtime.outbox import Relay
from runtime.publishing import Outgoing
from runtime.telemetry import Telemetry, quiet_telemetry
from runtime.transaction import Transaction
from tests.harness.waiting import until


class FakePublisher:
    """A broker's door: it takes, refuses or loses messages as the test says."""

    def __init__(self) -> None:
        self.judge: Callable[[Outgoing], Exception | None] = lambda _: None
        self.reached: list[Outgoing] = []  # what a consumer would see, in order
        self.calls = 0
        self.in_flight: set[str] = set()
        self.batches: list[int] = []
        self.pause: anyio.Event | None = None
        self.see: Callable[[], int] = lambda: 0
        self.seen: list[int] = []

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        (failure,) = await self.publish_batch([Outgoing(exchange, routing_key, message)])
        if failure is not None:
            raise failure

    async def publish_batch(self, batch: Sequence[Outgoing]) -> list[Exception | None]:
        self.calls += 1
        self.batches.append(len(batch))
        self.seen.append(self.see())
        ids = [outgoing.message.message_id for outgoing in batch]
        assert not self.in_flight.intersection(ids), "in flight twice"
        self.in_flight.update(ids)
        outcomes: list[Exception | None] = []
        for outgoing in batch:
            outcome = self.judge(outgoing)
            if not isinstance(outcome, PublishRefused | Unprocessable | BrokerLost):
                self.reached.append(outgoing)
            outcomes.append(outcome)
        await (self.pause.wait() if self.pause else anyio.lowlevel.checkpoint())
        self.in_flight.difference_update(ids)
        return outcomes

    def reached_ids(self) -> list[str]:
        return [outgoing.message.message_id for outgoing in self.reached]


def message(message_id: str) -> Message:
    return Message(
        message_id=message_id,
        type="happened/v1",
        body=message_id.encode(),
        correlation_id="c",
        app_id="a",
        timestamp=1_700_000_000,
        headers={"traceparent": "t"},
    )


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return replace(production_host(tmp_path), random=random.Random(1))


@pytest.fixture
async def database(host: Host) -> AsyncIterator[Database]:
    async with open_database(host.disk, "a.db", [outbox.SCHEMA]) as opened:
        yield opened


async def enqueue(database: Database, *ids: str, relay: Relay | None = None) -> None:
    """Ids are ``key.number``."""

    def work(tx: Transaction) -> None:
        for message_id in ids:
            outbox.enqueue(tx, message_id.partition(".")[0], "x", "x.happened", message(message_id))
        if relay is not None:
            tx.on_commit(relay.wake)

    await database.write(work)


async def pending(database: Database) -> list[str]:
    def query(connection: sqlite3.Connection) -> list[str]:
        rows = connection.execute("SELECT body FROM outbox ORDER BY position")
        return [body.decode() for (body,) in rows]

    return await database.read(query)


async def drained(database: Database) -> None:
    with anyio.fail_after(20):
        while await pending(database):  # noqa: ASYNC110  # a query is what is waited for
            await anyio.sleep(0.01)


@asynccontextmanager
async def running(relay: Relay) -> AsyncIterator[ChildContext]:
    context = ChildContext("relay")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(relay.run, context)
        yield context
        context.stopping.set()


async def test_what_is_added_while_the_broker_is_away_is_counted(
    database: Database, host: Host
) -> None:
    publisher = FakePublisher()
    publisher.pause = anyio.Event()
    relay = Relay(database, publisher, host, quiet_telemetry(), poll_s=0.05)
    async with running(relay):
        await enqueue(database, "a.1", relay=relay)
        await until(lambda: publisher.calls == 1)
        # At once, and nothing after them that could tell of them.
        await enqueue(database, "a.2", relay=relay)
        await enqueue(database, "a.3", "b.1", relay=relay)
        await until(lambda: relay.statistics().pending == 4)
        await enqueue(database, "c.1", relay=relay)
        await until(lambda: relay.statistics().pending == 5)
        assert publisher.calls == 1, "no round has looked"
        publisher.pause.set()
        await until(lambda: relay.statistics().pending == 0)


async def test_the_commit_wakes_it_and_a_confirm_removes_the_row(
    database: Database, host: Host
) -> None:
    publisher = FakePublisher()
    relay = Relay(database, publisher, host, quiet_telemetry(), poll_s=3600)
    async with running(relay):
        await enqueue(database, "a.1", "b.1", relay=relay)
        await until(lambda: relay.statistics().published_total == 2)
        assert await pending(database) == []
        assert publisher.reached == [
            Outgoing("x", "x.happened", message("a.1")),
            Outgoing("x", "x.happened", message("b.1")),
        ]
        assert publisher.calls == 1


async def test_what_a_crash_left_is_sent_first_thing(database: Database, host: Host) -> None:
    await enqueue(database, "a.1", "a.2", "b.1")
    publisher = FakePublisher()
    async with running(Relay(database, publisher, host, quiet_telemetry(), poll_s=3600)):
        await until(lambda: len(publisher.reached) == 3)
    assert publisher.reached_ids() == ["a.1", "b.1", "a.2"]
    assert await pending(database) == []


async def test_the_slow_poll_finds_what_nobody_told_of(database: Database, host: Host) -> None:
    publisher = FakePublisher()
    async with running(Relay(database, publisher, host, quiet_telemetry(), poll_s=0.01)):
        await enqueue(database, "a.1")
        await until(lambda: publisher.reached)


async def test_a_poll_asks_nothing_where_nothing_was_written(
    database: Database, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    polls = 0

    async def wait_at_most(event: anyio.Event, seconds: float) -> None:
        nonlocal polls
        polls += 1
        await anyio.sleep(0.001)

    monkeypatch.setattr("runtime.outbox.wait_at_most", wait_at_most)
    publisher = FakePublisher()
    async with running(Relay(database, publisher, host, quiet_telemetry())):
        await until(lambda: polls >= 3)
        queries, polls = database.statistics().queries, 0
        await until(lambda: polls >= 3)
        assert database.statistics().queries == queries
        await enqueue(database, "a.1")
        await until(lambda: publisher.reached)


async def test_a_row_stays_until_its_confirm(database: Database, host: Host) -> None:
    await enqueue(database, "a.1")
    publisher = FakePublisher()
    publisher.pause = anyio.Event()
    async with running(Relay(database, publisher, host, quiet_telemetry())):
        await until(lambda: publisher.reached)
        assert await pending(database) == ["a.1"]
        publisher.pause.set()


@pytest.mark.parametrize("refusal", [PublishRefused("returned"), Unprocessable("big", "too big")])
async def test_a_refused_message_blocks_its_own_key_only(
    database: Database, host: Host, refusal: Exception
) -> None:
    lines: list[str] = []
    telemetry = Telemetry(wall=host.clock.wall, write=lines.append, log_format="json")
    publisher = FakePublisher()
    publisher.judge = lambda o: refusal if o.message.message_id == "a.1" else None
    relay = Relay(database, publisher, host, telemetry, poll_s=0.01, backoff_s_max=0.01)
    await enqueue(database, "a.1", "a.2", "b.1", "b.2")
    async with running(relay):
        await until(lambda: publisher.calls > 10)
        assert publisher.reached_ids() == ["b.1", "b.2"]
        assert await pending(database) == ["a.1", "a.2"]
        statistics = relay.statistics()
        assert (statistics.pending, statistics.blocked) == (2, 1)
        assert str(refusal) in str(statistics.last_error)
        assert statistics.oldest_age_s > 1000
        publisher.judge = lambda _: None
        await until(lambda: len(publisher.reached) == 4)
    assert publisher.reached_ids() == ["b.1", "b.2", "a.1", "a.2"]
    assert sum("outbox.refused" in line for line in lines) == 1
    assert sum("outbox.lag" in line for line in lines) == 1
    assert b"ordermill_outbox_pending 0" in telemetry.render()


async def test_a_refused_message_is_not_offered_in_a_spin(database: Database, host: Host) -> None:
    publisher = FakePublisher()
    publisher.judge = lambda _: PublishRefused("no queue")
    relay = Relay(database, publisher, host, quiet_telemetry(), poll_s=0.001, backoff_s_max=60)
    await enqueue(database, "a.1")
    async with running(relay):
        for _ in range(100):
            relay.wake()
            await anyio.sleep(0.001)
        assert 1 <= publisher.calls < 25


@pytest.mark.parametrize("away", [BrokerLost("gone"), DeadlineExceeded("silent")])
async def test_while_the_broker_is_away_everything_is_kept_and_nothing_spins(
    database: Database, host: Host, away: Exception
) -> None:
    """With full jitter a pause is half its ceiling on average, so the calls stay few."""
    publisher = FakePublisher()
    publisher.judge = lambda _: away
    relay = Relay(database, publisher, host, quiet_telemetry(), poll_s=0.001, backoff_s_max=60)
    await enqueue(database, "a.1")
    async with running(relay):
        for number in range(100):
            await enqueue(database, f"b.{number}", relay=relay)
            await anyio.sleep(0.001)
        assert publisher.calls < 25
        assert len(await pending(database)) == 101
        assert relay.statistics().blocked == 0


async def test_the_same_bytes_are_sent_again(database: Database, host: Host) -> None:
    outcomes = iter([DeadlineExceeded("unknown"), BrokerLost("gone"), DeadlineExceeded("again")])
    publisher = FakePublisher()
    publisher.judge = lambda _: next(outcomes, None)
    await enqueue(database, "a.1")
    async with running(Relay(database, publisher, host, quiet_telemetry(), backoff_s_max=0.01)):
        await until(lambda: len(publisher.reached) == 3)
    assert publisher.reached == [Outgoing("x", "x.happened", message("a.1"))] * 3


async def test_confirmed_rows_are_not_sent_again_while_the_disk_is_full(
    database: Database, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    await enqueue(database, "a.1", "a.2", "b.1")
    publisher = FakePublisher()
    relay = Relay(database, publisher, host, quiet_telemetry(), poll_s=0.01, backoff_s_max=0.01)
    real, failures = database.write, iter(range(5))

    async def write(work: Callable[[Transaction], object]) -> object:
        if publisher.reached and next(failures, None) is not None:
            raise StoreUnavailable("disk full")
        return await real(work)

    monkeypatch.setattr(database, "write", write)
    async with running(relay):
        await until(lambda: relay.statistics().published_total == 3)
    assert publisher.reached_ids() == ["a.1", "b.1", "a.2"]
    assert await pending(database) == []


async def test_a_stop_sends_what_is_there_and_leaves_what_cannot_go(
    database: Database, host: Host
) -> None:
    publisher = FakePublisher()
    publisher.judge = lambda o: PublishRefused("no") if o.message.message_id == "a.1" else None
    relay = Relay(database, publisher, host, quiet_telemetry(), poll_s=3600, backoff_s_max=3600)
    async with running(relay):
        await enqueue(database, "a.1", "a.2", *(f"k{number}.1" for number in range(600)))
    assert len(publisher.reached) == 600
    assert await pending(database) == ["a.1", "a.2"]


async def test_a_stop_does_not_wait_for_a_broker_that_is_away(
    database: Database, host: Host
) -> None:
    publisher = FakePublisher()
    publisher.pause = anyio.Event()
    relay = Relay(database, publisher, host, quiet_telemetry(), flush_s=0.05)
    context = ChildContext("relay")
    context.stopping.set()
    await enqueue(database, "a.1")
    with anyio.fail_after(10):
        await relay.run(context)
    assert await pending(database) == ["a.1"]


async def test_a_backlog_behind_one_key_takes_bounded_memory_and_arrives(
    database: Database, host: Host
) -> None:
    publisher = FakePublisher()
    relay = Relay(database, publisher, host, quiet_telemetry(), batch_max=8, tracked_max=20)
    publisher.see = lambda: relay.statistics().tracked
    await enqueue(database, *(f"a.{number}" for number in range(100)), "b.1")
    async with running(relay):
        await until(lambda: len(publisher.reached) == 101)
    assert [i for i in publisher.reached_ids() if i != "b.1"] == [f"a.{n}" for n in range(100)]
    assert max(publisher.batches) <= 8
    assert max(publisher.seen) <= 20


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_fails_nothing_is_lost_and_no_key_is_inverted(
    database: Database, host: Host, seed: int
) -> None:
    """Random outcomes, writers beside it, and a relay that is killed and started again."""
    chance = random.Random(seed)
    publisher = FakePublisher()
    rate = chance.choice([0.05, 0.3, 0.7])
    errors = [
        PublishRefused("no"),
        BrokerLost("gone"),
        DeadlineExceeded("?"),
        Unprocessable("u", ""),
    ]

    def judge(_: Outgoing) -> Exception | None:
        return chance.choice(errors) if chance.random() < rate else None

    publisher.judge = judge
    sent: dict[str, list[str]] = defaultdict(list)
    options = {"poll_s": 0.002, "backoff_s_max": 0.002, "flush_s": 0.01}
    for _ in range(4):
        relay = Relay(
            database,
            publisher,
            host,
            quiet_telemetry(),
            batch_max=chance.choice([1, 3, 64]),
            tracked_max=chance.choice([64, 1000]),
            **options,
        )
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(relay.run, ChildContext("relay"))
            for _ in range(8):
                keys = [chance.choice("abcde") for _ in range(chance.randrange(6))]
                ids = []
                for key in keys:
                    ids.append(f"{key}.{len(sent[key])}")
                    sent[key].append(ids[-1])
                await enqueue(database, *ids, relay=relay)
                await anyio.sleep(chance.choice([0, 0.001]))
            tasks.cancel_scope.cancel()
        publisher.in_flight.clear()
    rate = 0.05
    relay = Relay(database, publisher, host, quiet_telemetry(), **options)
    async with running(relay):
        await drained(database)
        await until(lambda: relay.statistics().pending == 0)
    for key, ids in sent.items():
        reached = [i for i in publisher.reached_ids() if i.startswith(f"{key}.")]
        assert list(dict.fromkeys(reached)) == ids, "first sends are in order, and all are there"
