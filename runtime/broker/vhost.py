"""A virtual host: names -> exchanges and queues. One operation in, effects out.

The law of this file: what a client may do to an exchange or queue is decided here, with RabbitMQ's
codes and texts; what it changes durably is noted for the journal in the same breath.
"""

from collections import deque
from collections.abc import Callable, Iterable

import msgspec

from runtime.broker import tables
from runtime.broker.arguments import (
    QueueDeclaration,
    assert_same,
    assert_same_queue,
    check_quorum,
    inequivalent,
    queue_options,
)
from runtime.broker.cemetery import Cemetery
from runtime.broker.entry import Entry
from runtime.broker.errors import (
    ACCESS_REFUSED,
    COMMAND_INVALID,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    BrokerError,
    default_exchange_untouchable,
    locked_queue,
    no_exchange,
    no_queue,
)
from runtime.broker.messages import Message
from runtime.broker.queue import Queue, QueueStatistics
from runtime.broker.records import (
    Bound,
    ExchangeDeclared,
    ExchangeDeleted,
    QueueDeclared,
    QueueDeleted,
    Recorder,
    Unbound,
)
from runtime.broker.routing import TYPES, Binding, Exchange, Exchanges, check_headers_binding
from runtime.broker.timers import Clock, Timers


class Routed(msgspec.Struct, frozen=True):
    """What became of a publish: how many queues took it, and whether a full one refused."""

    queues: int
    refused: bool


class VirtualHost:
    """The exchanges and queues under one name."""

    def __init__(
        self,
        name: str,
        clock: Clock,
        timers: Timers,
        recorder: Recorder,
        numbers: Callable[[], int],
    ) -> None:
        """``numbers`` gives ever larger numbers: positions of entries, numbers of queues."""
        self.name = name
        self.recorder = recorder
        self.exchanges = Exchanges()
        self.queues: dict[str, Queue] = {}
        self.next_position = numbers
        self._clock = clock
        self._timers = timers
        self._cemetery = Cemetery(self, clock, timers)
        self._orphaned: deque[Queue] = deque()

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

    # -- exchanges --------------------------------------------------------------------------------

    def exchange(self, name: str) -> Exchange:
        """The exchange of this name, or 404."""
        exchange = self.exchanges.by_name.get(name)
        if exchange is None:
            raise no_exchange(name, self.name)
        return exchange

    def declare_exchange(
        self,
        name: str,
        type_: str,
        *,
        durable: bool,
        auto_delete: bool,
        internal: bool,
        arguments: tables.Entries,
    ) -> None:
        """Create the exchange, or check that the one there is the same."""
        if not name:
            raise default_exchange_untouchable()
        if type_ not in TYPES:
            raise BrokerError(COMMAND_INVALID, f"unknown exchange type '{type_}'")
        current = self.exchanges.by_name.get(name)
        wanted = Exchange(
            name, type_, durable=durable, auto_delete=auto_delete, internal=internal,
            arguments=arguments,
        )  # fmt: skip
        if current is not None:
            self._assert_same_exchange(current, wanted)
            return
        if name.startswith("amq."):
            self._refuse_reserved("exchange", name)
        self.exchanges.by_name[name] = wanted
        if durable:
            raw = tables.encoded(arguments)[4:]
            self.recorder.note(ExchangeDeclared(self.name, name, type_, auto_delete, internal, raw))

    def _assert_same_exchange(self, current: Exchange, wanted: Exchange) -> None:
        owner = f"exchange '{current.name}' in vhost '{self.name}'"
        for argument in ("type", "durable", "auto_delete", "internal"):
            old, new = getattr(current, argument), getattr(wanted, argument)
            if old != new:
                quoted = (f"'{str(value).lower()}'" for value in (new, old))
                raise inequivalent(owner, argument, *quoted)
        name = "alternate-exchange"
        assert_same(owner, name, current.arguments.get(name), wanted.arguments.get(name))

    def _refuse_reserved(self, kind: str, name: str) -> None:
        text = f"{kind} name '{name}' contains reserved prefix 'amq.*'"
        raise BrokerError(ACCESS_REFUSED, text)

    def delete_exchange(self, name: str, *, if_unused: bool) -> None:
        """Delete the exchange if it is there; 406 if it must be unused and is not."""
        if not name:
            raise default_exchange_untouchable()
        if name.startswith("amq."):
            text = f"deletion of system exchange '{name}' in vhost '{self.name}' not allowed"
            raise BrokerError(ACCESS_REFUSED, text)
        exchange = self.exchanges.by_name.get(name)
        if exchange is None:
            return
        if if_unused and exchange.bindings:
            text = f"exchange '{name}' in vhost '{self.name}' in use"
            raise BrokerError(PRECONDITION_FAILED, text)
        self._drop_exchange(exchange)

    def _drop_exchange(self, exchange: Exchange) -> None:
        del self.exchanges.by_name[exchange.name]
        if exchange.durable:
            self.recorder.note(ExchangeDeleted(self.name, exchange.name))
        self._drop_bindings(self.exchanges.with_destination("exchange", exchange.name))

    # -- bindings ---------------------------------------------------------------------------------

    def bind(self, binding: Binding) -> None:
        """Add a binding whose ends exist."""
        source = self._source(binding)
        if source.type == "headers":
            check_headers_binding(tables.entries(binding.arguments))
        if source.bind(binding) and self._is_durable(source, binding):
            self.recorder.note(Bound(self.name, binding))
        self._cemetery.retry()

    def unbind(self, binding: Binding) -> None:
        """Remove a binding; one that is not there is no error."""
        self._drop_bindings([(self._source(binding), binding)])

    def _source(self, binding: Binding) -> Exchange:
        if not binding.source:
            raise default_exchange_untouchable()
        return self.exchange(binding.source)

    def _drop_bindings(self, doomed: Iterable[tuple[Exchange, Binding]]) -> None:
        for exchange, binding in doomed:
            if not exchange.unbind(binding):
                continue
            if self._is_durable(exchange, binding):
                self.recorder.note(Unbound(self.name, binding))
            if exchange.auto_delete and not exchange.bindings:
                self._drop_exchange(exchange)

    def _is_durable(self, source: Exchange, binding: Binding) -> bool:
        if binding.kind == "exchange":
            target = self.exchanges.by_name.get(binding.destination)
            return source.durable and target is not None and target.durable
        queue = self.queues.get(binding.destination)
        return source.durable and queue is not None and queue.journalled

    # -- queues -----------------------------------------------------------------------------------

    def queue(self, name: str, user: object) -> Queue:
        """The queue of this name for this connection; 404, or 405 if it is another one's."""
        queue = self.queues.get(name)
        if queue is None:
            raise no_queue(name, self.name)
        if queue.owner is not None and queue.owner is not user:
            raise locked_queue(name, self.name)
        return queue

    def declare_queue(self, declaration: QueueDeclaration, user: object) -> Queue:
        """Create the queue, or check that the one there is the same."""
        name = declaration.name
        if name not in self.queues:
            return self._create_queue(declaration, user)
        queue = self.queue(name, user)
        owner = f"queue '{name}' in vhost '{self.name}'"
        for argument in ("durable", "auto_delete"):
            old, new = getattr(queue, argument), getattr(declaration, argument)
            if old != new:
                quoted = (f"'{str(value).lower()}'" for value in (new, old))
                raise inequivalent(owner, argument, *quoted)
        if (queue.owner is not None) != declaration.exclusive:
            raise locked_queue(name, self.name)
        assert_same_queue(name, self.name, queue.arguments, declaration.arguments)
        return queue

    def _create_queue(self, declaration: QueueDeclaration, user: object) -> Queue:
        name = declaration.name
        if name.startswith("amq.") and not name.startswith("amq.gen-"):
            self._refuse_reserved("queue", name)
        options = queue_options(name, self.name, declaration.arguments)
        if options.type == "quorum":
            check_quorum(declaration, self.name)
        queue = Queue(
            self,
            name,
            number=self.next_position(),
            durable=declaration.durable,
            owner=user if declaration.exclusive else None,
            auto_delete=declaration.auto_delete,
            arguments=declaration.arguments,
            options=options,
        )
        self.add_queue(queue)
        if queue.journalled:
            raw = tables.encoded(declaration.arguments)[4:]
            self.recorder.note(QueueDeclared(queue.number, self.name, name, queue.auto_delete, raw))
        return queue

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
        if queue.consumers:
            queue.used_at = self.now()
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
        if if_unused and queue.consumers:
            raise BrokerError(PRECONDITION_FAILED, f"{owner} in use")
        if if_empty and len(queue):
            raise BrokerError(PRECONDITION_FAILED, f"{owner} not empty")
        count = len(queue)
        self.drop_queue(queue)
        return count

    def drop_queue(self, queue: Queue) -> None:
        """Remove a queue with its bindings. Its consumers stay on it until they are told."""
        if queue.deleted:
            return
        queue.deleted = True
        self._drop_bindings(self.exchanges.with_destination("queue", queue.name))
        del self.queues[queue.name]
        if queue.journalled:
            self.recorder.note(QueueDeleted(queue.number, self.name, queue.name))
        self._orphaned.append(queue)

    # -- messages ---------------------------------------------------------------------------------

    def publish(self, exchange: Exchange, message: Message) -> Routed:
        """Route a message to its queues."""
        taken, refused = 0, False
        for name in self.exchanges.queues(exchange, message):
            queue = self.queues.get(name)
            if queue is None:
                continue
            taken += 1
            refused = not queue.publish(message) or refused
        return Routed(taken, refused)

    def settle(self) -> None:
        """Finish an operation: send its dead letters on, tell consumers of deleted queues."""
        self._cemetery.settle()
        while self._orphaned:
            queue = self._orphaned.popleft()
            consumers, queue.consumers = queue.consumers, []
            for consumer in consumers:
                consumer.cancelled_by_broker()

    def statistics(self) -> list[QueueStatistics]:
        """Counts of every queue, in order of declaration."""
        return [queue.statistics() for queue in self.queues.values()]
