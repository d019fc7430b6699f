"""A queue under random settling, against a model that is a sorted list."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runtime.broker.arguments import QueueOptions
from runtime.broker.classic import ClassicQueue
from runtime.broker.consumer import Consumer, Held
from runtime.broker.entry import Entry
from runtime.broker.limiter import Limiter
from runtime.broker.messages import Message
from runtime.broker.queue import Queue
from runtime.broker.quorum import QuorumQueue
from runtime.broker.records import Counted, Record, Recorder, Removed, Stored


def header(priority: int) -> bytes:
    """A persistent message of this priority."""
    return bytes.fromhex("003c0000") + bytes(8) + bytes.fromhex("180002") + bytes((priority,))


class Surroundings:
    """A virtual host that only counts."""

    name = "/"

    def __init__(self) -> None:
        self.recorder = Recorder(enabled=True)
        self.buried: list[tuple[int, str]] = []
        self._last = 0

    def now(self) -> float:
        return 0.0

    def wall_ms(self) -> int:
        return 0

    def next_position(self) -> int:
        self._last += 1
        return self._last

    def wake_at(self, when: float, queue: Queue) -> None:
        raise AssertionError("nothing expires here")

    def bury(self, queue: Queue, entry: Entry, reason: str) -> None:
        self.buried.append((entry.position, reason))
        queue.remove(entry)

    def drop_queue(self, queue: Queue) -> None:
        raise AssertionError("nothing is deleted here")


class Fetching:
    """A channel that fetches one by one."""

    def __init__(self) -> None:
        self.limiter = Limiter()

    def has_room(self) -> bool:
        return True

    def deliver(self, consumer: Consumer, entry: Entry, *, redelivered: bool) -> None:
        raise AssertionError("nobody consumes here")

    def cancelled_by_broker(self, consumer: Consumer) -> None:
        raise AssertionError("nobody consumes here")


def journalled(records: list[Record]) -> dict[int, int]:
    """What a journal would hold: position -> delivery count."""
    rows: dict[int, int] = {}
    for record in records:
        if isinstance(record, Stored):
            rows[record.position] = 0
        elif isinstance(record, Removed):
            del rows[record.position]
        elif isinstance(record, Counted):
            rows[record.position] = record.count
    return rows


class Classic(RuleBasedStateMachine):
    """Messages come back to their places; nothing is lost, nothing is there twice."""

    kind: type[Queue] = ClassicQueue
    options = QueueOptions()

    def __init__(self) -> None:
        super().__init__()
        self.around = Surroundings()
        self.queue = self.kind(self.around, "q", number=0, durable=True, options=self.options)
        self.channel = Fetching()
        self.ready: list[str] = []
        self.out: list[tuple[str, Held]] = []
        self.seen: set[str] = set()
        self.records: list[Record] = []
        self.published = 0
        self.fetched = 0

    @rule(priority=st.integers(0, 4))
    def publish(self, priority: int) -> None:
        body = self.name(priority)
        self.published += 1
        assert self.queue.publish(Message("", "q", header(priority), body.encode()))
        self.ready.append(body)

    def name(self, priority: int) -> str:
        return f"{self.published:04}"

    @rule()
    def get(self) -> None:
        self.fetched += 1
        tag = self.fetched
        got = self.queue.get(self.channel, tag, no_ack=False)
        if got is None:
            assert not self.ready
            return
        body = got.entry.message.body.decode()
        assert body == self.ready.pop(0)
        assert got.redelivered == (body in self.seen)
        assert got.left == len(self.ready)
        self.seen.add(body)
        self.out.append((body, Held(tag, self.queue, got.entry, None, 0.0)))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        self.queue.settled(self.channel, [self._pick(data)[1]], "ack")

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        self.queue.settled(self.channel, [self._pick(data)[1]], "reject")

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        body, held = self._pick(data)
        self.queue.settled(self.channel, [held], "requeue")
        self._model_return(body, held.entry)

    @rule()
    def close_channel(self) -> None:
        out, self.out = self.out, []
        self.queue.channel_closed(self.channel, [held for _, held in out])
        self._model_close(out)

    def _model_return(self, body: str, entry: Entry) -> None:
        self.ready = sorted([*self.ready, body])

    def _model_close(self, out: list[tuple[str, Held]]) -> None:
        self.ready = sorted([*self.ready, *(body for body, _ in out)])

    def _pick(self, data: st.DataObject) -> tuple[str, Held]:
        return self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))

    @invariant()
    def counts_agree(self) -> None:
        assert (len(self.queue), self.queue.unacked) == (len(self.ready), len(self.out))
        assert self.queue.statistics().ready_bytes == sum(map(len, self.ready))

    @invariant()
    def an_observer_sees_the_order_of_delivery(self) -> None:
        assert [entry.message.body.decode() for entry in self.queue] == self.ready

    @invariant()
    def the_journal_holds_what_is_there(self) -> None:
        self.records += self.around.recorder.take().records
        assert len(journalled(self.records)) == len(self.ready) + len(self.out)


class Prioritised(Classic):
    """The same for each priority; those above the queue's highest count as the highest."""

    options = QueueOptions(priority_max=3)

    def name(self, priority: int) -> str:
        return f"{9 - min(priority, 3)}-{self.published:04}"

    @rule(priority=st.integers(0, 4))
    def publish(self, priority: int) -> None:
        super().publish(priority)
        self.ready.sort()


class LimitedQuorum(Classic):
    """Messages come back in front, in the order of their return, and die of too many returns."""

    kind = QuorumQueue
    options = QueueOptions(type="quorum", delivery_limit=3)

    def __init__(self) -> None:
        super().__init__()
        self.returned: list[str] = []

    def _model_return(self, body: str, entry: Entry) -> None:
        if entry.count > 3:
            return
        # What has come back before and is still ready stays in front of this one.
        self.returned = [one for one in self.returned if one in self.ready] + [body]
        fresh = [one for one in self.ready if one not in self.returned]
        self.ready = self.returned + fresh

    def _model_close(self, out: list[tuple[str, Held]]) -> None:
        # Each fetch was a consumer of its own; they are gone through in the order of their names.
        for body, held in sorted(out, key=lambda one: str(one[1].tag)):
            LimitedQuorum._model_return(self, body, held.entry)


class EndlessQuorum(LimitedQuorum):
    """Without a limit, what a consumer gives back goes to the end."""

    options = QueueOptions(type="quorum")

    def _model_return(self, body: str, entry: Entry) -> None:
        self.ready.append(body)
        self.returned = [one for one in self.returned if one != body]

    def _model_close(self, out: list[tuple[str, Held]]) -> None:
        for body, _ in sorted(out, key=lambda one: str(one[1].tag)):
            self.returned = [one for one in self.returned if one in self.ready and one != body]
            self.returned.append(body)
            fresh = [one for one in self.ready if one not in self.returned]
            self.ready = self.returned + fresh


bounded = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestClassic = Classic.TestCase
TestPrioritised = Prioritised.TestCase
TestLimitedQuorum = LimitedQuorum.TestCase
TestEndlessQuorum = EndlessQuorum.TestCase
TestClassic.settings = TestPrioritised.settings = bounded
TestLimitedQuorum.settings = TestEndlessQuorum.settings = bounded
