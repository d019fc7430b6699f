"""What the journal brings back: everything durable, and of it everything that a client can see."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest
from pamqp import commands, frame
from pamqp.base import Frame
from pamqp.common import FieldTable
from pamqp.header import ContentHeader

from runtime.broker import journal
from runtime.broker.broker import Broker
from runtime.broker.operating import Operator
from tests.runtime.broker.conformance.targets import Moment
from tests.runtime.broker.test_broker import Client, make_broker, run_until


class Lives:
    """A broker, its journal, and what becomes of it when it starts again."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self.clock = Moment()
        self._database = database
        for migration in journal.MIGRATIONS:
            database.executescript(migration)
        self.start()

    def start(self) -> None:
        self.broker: Broker = make_broker(self.clock, journalled=True)
        journal.restore(self.broker, journal.load(self._database))
        self.client = Client(self.broker)
        self.operator = Operator(self.broker)

    def crash(self) -> None:
        """Everything up to here is on disk; nothing else of the broker is left."""
        self.write()
        self.start()

    def write(self) -> None:
        batch = self.broker.take_records()
        if batch is not None:
            journal.write(self._database, batch.records)
            self.broker.committed(batch.mark)

    def say(self, *methods: Frame) -> list[object]:
        self.client.say(1, *methods)
        self.write()
        return self.client.hear()

    def publish(self, key: str, exchange: str = "", **properties: object) -> None:
        told = {"delivery_mode": 2, **properties}
        header = ContentHeader(0, 0, commands.Basic.Properties(**told))  # type: ignore[arg-type]
        parts = (commands.Basic.Publish(0, exchange, key), header)
        self.client.feed(b"".join(frame.marshal(part, 1) for part in parts))

    def declare(self, name: str, **arguments: object) -> None:
        table: FieldTable = {key.replace("_", "-"): value for key, value in arguments.items()}
        self.say(commands.Queue.Declare(0, name, durable=True, arguments=table))

    def redelivered(self, name: str) -> list[bool]:
        return [one.redelivered for one in self.operator.list_messages(name)]


@pytest.fixture
def lives() -> Iterator[Lives]:
    with closing(sqlite3.connect(":memory:")) as database:
        yield Lives(database)


def test_priorities_and_what_was_out_of_them(lives: Lives) -> None:
    lives.declare("q", x_max_priority=5)
    for priority in (1, 5, 3):
        lives.publish("q", priority=priority, message_id=f"p{priority}")
    lives.say(commands.Basic.Get(0, "q"))
    lives.crash()
    assert lives.redelivered("q") == [True, False, False]
    [_, header] = lives.say(commands.Basic.Get(0, "q", no_ack=True))
    assert isinstance(header, ContentHeader)
    assert header.properties.message_id == "p5"


def test_hidden_routing_keys_lead_a_dead_letter_on(lives: Lives) -> None:
    lives.say(commands.Exchange.Declare(0, "dlx", "direct", durable=True))
    lives.declare("dead")
    lives.say(commands.Queue.Bind(0, "dead", "dlx", "secret"))
    lives.declare("q", x_dead_letter_exchange="dlx")
    lives.publish("q", headers={"BCC": ["secret"]})
    lives.crash()
    lives.say(commands.Basic.Get(0, "q"), commands.Basic.Reject(1, False))
    [letter] = lives.operator.list_messages("dead")
    assert (letter.exchange, letter.routing_key) == ("dlx", "q")
    assert b"secret" not in letter.header


def test_a_commit_is_on_disk_before_it_is_answered(lives: Lives) -> None:
    lives.declare("q")
    lives.say(commands.Tx.Select())
    lives.publish("q")
    lives.client.say(1, commands.Tx.Commit())
    assert lives.client.hear() == []
    lives.write()
    assert lives.client.names() == ["Tx.CommitOk"]
    lives.crash()
    assert lives.redelivered("q") == [False]


def test_an_alternate_exchange_and_a_binding_between_exchanges(lives: Lives) -> None:
    arguments: FieldTable = {"alternate-exchange": "else"}
    lives.say(
        commands.Exchange.Declare(0, "x", "direct", durable=True, arguments=arguments),
        commands.Exchange.Declare(0, "else", "fanout", durable=True),
        commands.Exchange.Declare(0, "more", "fanout", durable=True),
        commands.Exchange.Bind(0, "more", "else"),
    )
    lives.declare("q")
    lives.say(commands.Queue.Bind(0, "q", "more"))
    lives.crash()
    lives.publish("nowhere", "x")
    assert len(lives.operator.list_messages("q")) == 1


def test_a_headers_binding(lives: Lives) -> None:
    lives.declare("q")
    arguments: FieldTable = {"x-match": "any", "n": 1}
    lives.say(commands.Queue.Bind(0, "q", "amq.headers", "", arguments=arguments))
    lives.crash()
    lives.publish("", "amq.headers", headers={"n": 1})
    lives.publish("", "amq.headers", headers={"n": 2})
    assert len(lives.operator.list_messages("q")) == 1


def test_an_unused_queue_expires_after_a_restart(lives: Lives) -> None:
    lives.declare("q", x_expires=1000)
    lives.crash()
    run_until(lives.broker, lives.clock, 0.9)
    assert len(lives.operator.list_queues()) == 1
    run_until(lives.broker, lives.clock, 0.2)
    assert lives.operator.list_queues() == []
    lives.crash()
    assert lives.operator.list_queues() == []


@pytest.mark.parametrize("own", [None, "2000"])
def test_a_message_waits_no_longer_because_the_clock_was_set_back(
    lives: Lives, own: str | None
) -> None:
    lives.declare("later", x_message_ttl=5000 if own else 2000, x_dead_letter_exchange="")
    lives.publish("later", expiration=own)
    lives.write()
    lives.clock.epoch -= 3600
    lives.crash()
    run_until(lives.broker, lives.clock, 1.9)
    assert len(lives.operator.list_messages("later")) == 1
    run_until(lives.broker, lives.clock, 0.2)
    assert lives.operator.list_messages("later") == []


@pytest.mark.parametrize("overflow", ["drop-head", "reject-publish"])
def test_limits(lives: Lives, overflow: str) -> None:
    lives.declare("q", x_max_length=2, x_overflow=overflow)
    for number in range(2):
        lives.publish("q", message_id=f"m{number}")
    lives.crash()
    lives.publish("q", message_id="m2")
    assert len(lives.operator.list_messages("q")) == 2
    [_, header] = lives.say(commands.Basic.Get(0, "q"))
    assert isinstance(header, ContentHeader)
    assert header.properties.message_id == ("m1" if overflow == "drop-head" else "m0")


def test_an_undeliverable_dead_letter_waits_again(lives: Lives) -> None:
    lives.declare(
        "q",
        x_queue_type="quorum",
        x_dead_letter_exchange="",
        x_dead_letter_routing_key="dead",
        x_dead_letter_strategy="at-least-once",
        x_overflow="reject-publish",
    )
    lives.publish("q")
    lives.say(commands.Basic.Get(0, "q"), commands.Basic.Reject(1, False))
    assert [one.undeliverable for one in lives.operator.list_queues()] == [1]
    lives.crash()
    # It is a ready message again: who rejects it sends it on for good.
    lives.declare("dead")
    lives.say(commands.Basic.Get(0, "q"), commands.Basic.Reject(1, False))
    assert [one.messages_ready for one in lives.operator.list_queues()] == [0, 1]


def test_a_journal_of_the_first_version_is_read(lives: Lives) -> None:
    with closing(sqlite3.connect(":memory:")) as old:
        old.executescript(journal.MIGRATIONS[0])
        old.execute("INSERT INTO queue VALUES (1, '/', 'q', 0, x'', 0)")
        header = b"\x00\x3c" + bytes(12)
        row = (2, 1, "", "q", header, b"", None, 0)
        old.execute("INSERT INTO message VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
        old.executescript(journal.MIGRATIONS[1])
        broker = make_broker(Moment(), journalled=True)
        journal.restore(broker, journal.load(old))
    assert [one.redelivered for one in Operator(broker).list_messages("q")] == [False]
