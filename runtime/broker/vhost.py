"""A virtual host: its queues, its exchanges, and the way of a message from one to the other.

The law of this file: what a client may do to a queue as a whole is decided here, with RabbitMQ's
codes and texts; what it changes durably is noted for the journal in the same breath.
"""

from collections import deque
from collections.abc import Callable, Iterable

from runtime.broker import tables
from runtime.broker.arguments import (
    QueueDeclaration,
    assert_same_queue,
    check_quorum,
    inequivalent,
    is_quorum,
    queue_options,
)
from runtime.broker.cemetery import Cemetery
from runtime.broker.classic import ClassicQueue
from runtime.broker.consumer import Consumer
from runtime.broker.entry import Entry
from runtime.broker.errors import (
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    BrokerError,
    locked_queue,
    no_queue,
    reserved_name,
)
from runtime.broker.messages import Message
from runtime.broker.queue import Queue, QueueStatistics, assert_access
from runtime.broker.quorum import QuorumQueue
from runtime.broker.records import QueueDeclared, QueueDeleted, Recorder
from runtime.broker.routing import Binding
from runtime.broker.timers import Clock, Timers
from runtime.broker.topology import Topology

GENERATED = "amq.gen-"
# How many queues there were for a message, and whether a full one refused it.
Delivery = tuple[int, bool]


class VirtualHost:
    """The exchanges and queues under one name."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        timers: Timers,
        recorder: Recorder,
        numbers: Callable[[], int],
        unsettled: dict["VirtualHost", None],
    ) -> None:
        """``numbers`` gives ever larger numbers: positions of entries, numbers of queues.

        The virtual host adds itself to ``unsettled`` when it wants `settle` to be called.
        """
        self.name = name
        self.recorder = recorder
        self.queues: dict[str, Queue] = {}
        self.exchanges = Topology(name, self.queues, recorder)
        self.next_position = numbers
        self._clock = clock
        self._timers = timers
        self._cemetery = Cemetery(self, clock, timers, unsettled)
        self._orphaned: deque[Queue] = deque()
        self._unsettled = unsettled

    # -- what a queue needs -----------------------------------------------------------------------

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic()

    def wall_ms(self) -> int:
        """Milliseconds since the epoch."""
        return int(self._clock.wall() * 1000)

    def wake_at(self, when: float, queue: Queue) -> None:
        """Wake the queue at this time."""
        self._timers.at(when, queue.woken)

    def bury(self, queue: Queue, entry: Entry, reason: str) -> None:
        """Dead-letter an entry in `settle`, after what caused it has been routed."""
        self._cemetery.bury(queue, entry, reason)

    # -- bindings ---------------------------------------------------------------------------------

    def bind(self, binding: Binding, user: object) -> None:
        """Add a binding for this connection; dead letters may have waited for it."""
        self.exchanges.bind(binding, user)
        self._cemetery.retry()

    # -- queues -----------------------------------------------------------------------------------

    def queue(self, name: str, user: object) -> Queue:
        """The queue of this name for this connection; 404, or 405 if it is another one's."""
        queue = self.queues.get(name)
        if queue is None:
            raise no_queue(name, self.name)
        assert_access(queue, user, self.name)
        return queue

    def declare_queue(self, declaration: QueueDeclaration, user: object) -> Queue:
        """Create the queue, or check that the one there is the same.

        A declaration without a name has been given one that starts with `GENERATED`.
        """
        name = declaration.name
        queue = self.queues.get(name)
        if queue is None:
            return self._create_queue(declaration, user)
        if queue.owner is not (user if declaration.exclusive else None):
            raise locked_queue(name, self.name)
        owner = f"queue '{name}' in vhost '{self.name}'"
        durable = declaration.durable and not declaration.exclusive
        for argument, old, new in (
            ("durable", queue.durable, durable),
            ("auto_delete", queue.auto_delete, declaration.auto_delete),
        ):
            if old != new:
                quoted = (f"'{str(value).lower()}'" for value in (new, old))
                raise inequivalent(owner, argument, *quoted)
        type_ = queue.options.type
        assert_same_queue(name, self.name, type_, queue.arguments, declaration.arguments)
        return queue

    def check_name(self, name: str, arguments: tables.Entries) -> None:
        """403 for a name with our own prefix, 406 for a quorum queue without a name."""
        if not name and is_quorum(arguments):
            text = "Cannot declare a server-named queue for type rabbit_quorum_queue"
            raise BrokerError(PRECONDITION_FAILED, text)
        if name.startswith("amq."):
            raise reserved_name("queue", name)

    def _create_queue(self, declaration: QueueDeclaration, user: object) -> Queue:
        queue = self.make_queue(declaration, self.next_position(), user)
        self.add_queue(queue)
        if queue.durable:
            raw = tables.encoded(declaration.arguments)[4:]
            facts = (self.name, queue.name, queue.auto_delete, raw)
            self.recorder.note(QueueDeclared(queue.number, *facts))
        return queue

    def make_queue(
        self, declaration: QueueDeclaration, number: int, user: object | None = None
    ) -> Queue:
        """Build a queue; 406 where its arguments or properties do not fit. Nobody knows it yet."""
        options = queue_options(declaration.name, self.name, declaration.arguments)
        if options.type == "quorum":
            check_quorum(declaration, self.name)
        kind = QuorumQueue if options.type == "quorum" else ClassicQueue
        return kind(
            self,
            declaration.name,
            number=number,
            durable=declaration.durable,
            owner=user if declaration.exclusive else None,
            auto_delete=declaration.auto_delete,
            arguments=declaration.arguments,
            options=options,
        )

    def add_queue(self, queue: Queue) -> None:
        """Take up a queue that is made."""
        self.queues[queue.name] = queue
        if queue.options.expires_ms is not None:
            self._timers.at(self.now() + queue.options.expires_ms / 1000, lambda: self._age(queue))
        self._cemetery.retry()

    def _age(self, queue: Queue) -> None:
        expires_ms = queue.options.expires_ms
        if queue.deleted or expires_ms is None:
            return
        if queue.consumer_count:
            queue.used()
        due = queue.used_at + expires_ms / 1000
        if due <= self.now():
            self.drop_queue(queue)
        else:
            self._timers.at(due, lambda: self._age(queue))

    def delete_queue(self, name: str, user: object, *, if_unused: bool, if_empty: bool) -> int:
        """Delete the queue if it is there; return how many messages were ready in it."""
        if name not in self.queues:
            return 0
        queue = self.queue(name, user)
        owner = f"queue '{name}' in vhost '{self.name}'"
        if queue.is_quorum and (if_unused or if_empty):
            flag = "if-unused" if if_unused else "if-empty"
            text = (
                f"cannot delete {owner}. queue.delete operations with {flag} flag set are not "
                "supported by quorum queues"
            )
            raise BrokerError(NOT_IMPLEMENTED, text)
        if if_empty and len(queue):
            raise BrokerError(PRECONDITION_FAILED, f"{owner} not empty")
        if if_unused and queue.consumer_count:
            raise BrokerError(PRECONDITION_FAILED, f"{owner} in use")
        count = len(queue)
        self.drop_queue(queue)
        return count

    def drop_queue(self, queue: Queue) -> None:
        """Remove a queue with its bindings. Its consumers stay on it until they are told."""
        if queue.deleted:
            return
        queue.deleted = True
        self.exchanges.drop_queue_bindings(queue.name)
        del self.queues[queue.name]
        if queue.durable:
            self.recorder.note(QueueDeleted(queue.number, self.name, queue.name))
        self._orphaned.append(queue)
        self._unsettled[self] = None

    # -- messages ---------------------------------------------------------------------------------

    def deliver(self, names: Iterable[str], message: Message, sender: object) -> Delivery:
        """Give a message to the queues of these names that still exist."""
        taken, refused = 0, False
        for name in names:
            queue = self.queues.get(name)
            if queue is not None:
                taken += 1
                if not queue.publish(message, sender):
                    refused = True
        return taken, refused

    def settle(self) -> None:
        """Finish an operation: send its dead letters on, tell consumers of deleted queues."""
        self._cemetery.settle()
        while self._orphaned:
            for consumer in sorted(self._orphaned.popleft().consumers(), key=_tag):
                consumer.channel.cancelled_by_broker(consumer)

    def sender_closed(self, sender: object) -> None:
        """A channel publishes no more."""
        for queue in self.queues.values():
            queue.sender_closed(sender)

    def statistics(self) -> list[QueueStatistics]:
        """Counts of every queue, in order of declaration."""
        return [queue.statistics() for queue in self.queues.values()]


def _tag(consumer: Consumer) -> str:
    return consumer.tag
