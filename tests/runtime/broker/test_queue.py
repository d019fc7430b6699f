"""A queue under random settling, against a model that is a sorted list."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runtime.broker.arguments import QueueOptions
from runtime.broker.entry import Entry
from runtime.broker.messages import Message
from runtime.broker.queue import Queue
from runtime.broker.records import Counted, Record, Recorder, Removed, Stored

PERSISTENT_HEADER = bytes.fromhex("003c0000") + bytes(8) + bytes.fromhex("100002")


class Surroundings:
    """A virtual host that only counts."""

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


class ClassicQueue(RuleBasedStateMachine):
    """Messages come back to their places; nothing is lost, nothing is there twice."""

    options = QueueOptions()

    def __init__(self) -> None:
        super().__init__()
        self.around = Surroundings()
        self.queue = Queue(self.around, "q", number=0, durable=True, options=self.options)
        self.ready: list[str] = []
        self.out: list[tuple[str, Entry]] = []
        self.seen: set[str] = set()
        self.records: list[Record] = []
        self.published = 0

    @rule()
    def publish(self) -> None:
        body = f"{self.published:04}"
        self.published += 1
        assert self.queue.publish(Message("", "q", PERSISTENT_HEADER, body.encode()))
        self.ready.append(body)

    @rule()
    def get(self) -> None:
        found = self.queue.get()
        if found is None:
            assert not self.ready
            return
        entry, redelivered = found
        body = entry.message.body.decode()
        assert body == self.ready.pop(0)
        assert redelivered == (body in self.seen)
        self.seen.add(body)
        self.out.append((body, entry))

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def ack(self, data: st.DataObject) -> None:
        self.queue.acked(self._pick(data)[1])

    @precondition(lambda self: self.out)
    @rule(data=st.data())
    def reject(self, data: st.DataObject) -> None:
        self.queue.rejected(self._pick(data)[1])

    @precondition(lambda self: self.out)
    @rule(data=st.data(), by_consumer=st.booleans())
    def come_back(self, data: st.DataObject, by_consumer: bool) -> None:
        body, entry = self._pick(data)
        self.queue.returned(entry, by_consumer=by_consumer)
        self._model_return(body, entry, by_consumer)

    def _model_return(self, body: str, entry: Entry, by_consumer: bool) -> None:
        self.ready = sorted([*self.ready, body])

    def _pick(self, data: st.DataObject) -> tuple[str, Entry]:
        return self.out.pop(data.draw(st.integers(0, len(self.out) - 1)))

    @invariant()
    def counts_agree(self) -> None:
        assert (len(self.queue), self.queue.unacked) == (len(self.ready), len(self.out))
        assert self.queue.statistics().ready_bytes == sum(map(len, self.ready))

    @invariant()
    def the_journal_holds_what_is_there(self) -> None:
        self.records += self.around.recorder.take().records
        assert len(journalled(self.records)) == len(self.ready) + len(self.out)


class LimitedQuorumQueue(ClassicQueue):
    """Messages come back in front, in the order of their return, and die of too many returns."""

    options = QueueOptions(type="quorum", delivery_limit=3)

    def __init__(self) -> None:
        super().__init__()
        self.returned: list[str] = []

    def _model_return(self, body: str, entry: Entry, by_consumer: bool) -> None:
        if entry.count > 3:
            return
        # What has come back before and is still ready stays in front of this one.
        self.returned = [one for one in self.returned if one in self.ready] + [body]
        fresh = [one for one in self.ready if one not in self.returned]
        self.ready = self.returned + fresh


class EndlessQuorumQueue(ClassicQueue):
    """Without a limit, what a consumer gives back goes to the end."""

    options = QueueOptions(type="quorum")

    def __init__(self) -> None:
        super().__init__()
        self.returned: list[str] = []

    def _model_return(self, body: str, entry: Entry, by_consumer: bool) -> None:
        if by_consumer:
            self.ready.append(body)
            self.returned = [one for one in self.returned if one != body]
            return
        self.returned = [one for one in self.returned if one in self.ready and one != body] + [body]
        fresh = [one for one in self.ready if one not in self.returned]
        self.ready = self.returned + fresh


bounded = settings(max_examples=60, stateful_step_count=40, deadline=None)
TestClassicQueue = ClassicQueue.TestCase
TestLimitedQuorumQueue = LimitedQuorumQueue.TestCase
TestEndlessQuorumQueue = EndlessQuorumQueue.TestCase
for case in (TestClassicQueue, TestLimitedQuorumQueue, TestEndlessQuorumQueue):
    case.settings = bounded
