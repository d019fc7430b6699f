"""One channel: who consumes on it, what its client holds, what it has published.

Which method does what stands in `methods` and `basic_methods`; this file keeps the channel's own
state consistent.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal

from pamqp import commands
from pamqp.base import Frame

from runtime.broker import tables, wire
from runtime.broker.confirms import Confirms
from runtime.broker.consumer import Consumer, Held, Settlement
from runtime.broker.contents import Contents
from runtime.broker.entry import Entry
from runtime.broker.errors import (
    ACCESS_REFUSED,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    BrokerError,
)
from runtime.broker.limiter import Limiter
from runtime.broker.messages import Message, published
from runtime.broker.queue import Queue
from runtime.broker.transactions import Transaction
from runtime.broker.vhost import VirtualHost

if TYPE_CHECKING:
    from runtime.broker.protocol import Connection


class Channel:
    """One open channel of a connection."""

    def __init__(self, connection: "Connection", number: int, vhost: VirtualHost) -> None:
        self.connection = connection
        self.number = number
        self.vhost = vhost
        self.closing = False
        self.current_queue = ""
        self.consumers: dict[str, Consumer] = {}
        self.prefetch = 0
        self.limiter = Limiter()
        self.mode: Literal["", "confirm", "tx"] = ""
        self.contents = Contents()
        self.transaction = Transaction()
        self._confirms = Confirms()
        self._held: dict[int, Held] = {}
        self.coming_tag = 1
        self._watched = False
        self._kept_back: list[bytes] | None = None

    @property
    def unacked(self) -> int:
        """How many deliveries the client has to settle."""
        return len(self._held)

    @property
    def unconfirmed(self) -> int:
        """How many publishes are not confirmed yet."""
        return self._confirms.unconfirmed

    # -- out --------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send frames, in order, behind whatever waits for the journal."""
        if self._kept_back is None:
            self.connection.send(data)
        else:
            self._kept_back.append(data)

    def send_method(self, method: Frame) -> None:
        """Send a method."""
        self.send(wire.method(self.number, method))

    def keep_back(self) -> None:
        """Send nothing more until what has been noted so far is on disk."""
        recorder = self.vhost.recorder
        if recorder.mark > recorder.committed:
            if self._kept_back is None:
                self._kept_back = []
            self.connection.broker.wait_for_journal(self, 0)

    def let_go(self) -> None:
        """Send what was kept back."""
        frames, self._kept_back = self._kept_back, None
        for data in frames or ():
            self.connection.send(data)

    # -- publishes --------------------------------------------------------------------------------

    def publish(self) -> None:
        """The content that came in is complete."""
        (exchange, key, bits), header, body = self.contents.finish()
        try:
            self._publish(exchange, key, bits, header, body)
        except BrokerError as error:
            error.method = wire.PUBLISH_INDEX
            raise

    def _publish(self, exchange: str, key: str, bits: int, header: bytes, body: bytes) -> None:
        if bits & 2:
            raise BrokerError(NOT_IMPLEMENTED, "immediate=true")
        exchanges = self.vhost.exchanges
        target = exchanges.exchange(exchange)
        if target.internal:
            owner = f"exchange '{exchange}' in vhost '{self.vhost.name}'"
            raise BrokerError(ACCESS_REFUSED, f"cannot publish to internal {owner}")
        message = published(exchange, key, header, body, self.connection.user)
        queues = exchanges.queues(target, message)
        if self.mode == "tx":
            self.transaction.publish(message, queues, mandatory=bool(bits & 1))
            return
        recorder = self.vhost.recorder
        before = recorder.mark
        refused = self._deliver(message, queues, mandatory=bool(bits & 1))
        if self.mode == "confirm":
            number = self._confirms.add()
            if refused or recorder.mark == before:
                self.confirm(number, positive=not refused)
            else:
                self.connection.broker.wait_for_journal(self, number)

    def _deliver(self, message: Message, queues: list[str], *, mandatory: bool) -> bool:
        """Give a message to its queues, or back to the client; whether a full queue refused it."""
        taken, refused = self.vhost.deliver(queues, message, self)
        if mandatory and not taken:
            size_max = self.connection.frame_size_max
            self.send(wire.returned(self.number, 312, "NO_ROUTE", message.address))
            self.send(wire.content(self.number, message.header, message.body, size_max))
        return refused

    def confirm(self, number: int, *, positive: bool) -> None:
        """Publish ``number`` is settled; `flush_confirms` tells the client."""
        if self._confirms.settle(number, positive=positive):
            self.connection.broker.has_confirms(self)

    def flush_confirms(self) -> None:
        """Send the confirms that are due."""
        if not self.closing:
            self._confirms.flush(self._send_confirm)

    def _send_confirm(self, number: int, multiple: bool, positive: bool) -> None:
        self.send(wire.confirm(self.number, number, multiple=multiple, positive=positive))

    # -- deliveries -------------------------------------------------------------------------------

    def has_room(self) -> bool:
        """Whether more deliveries may be queued; if not, the channel is served again later."""
        return not self.closing and self.connection.has_room()

    def deliver(self, consumer: Consumer, entry: Entry, *, redelivered: bool) -> None:
        """Send a message, and remember it until it is settled."""
        tag = self.next_tag()
        if not consumer.no_ack:
            self.hold(tag, consumer.queue, entry, consumer)
        message = entry.message
        header = message.header
        if entry.count and consumer.queue.is_quorum:
            header = message.with_header("x-delivery-count", tables.long(entry.count))
        size_max = self.connection.frame_size_max
        self.send(
            wire.deliver(self.number, consumer.tag_bytes, tag, redelivered, message.address)
            + wire.content(self.number, header, message.body, size_max)
        )

    def next_tag(self) -> int:
        """Number a delivery."""
        tag = self.coming_tag
        self.coming_tag += 1
        return tag

    def hold(self, tag: int, queue: Queue, entry: Entry, consumer: Consumer | None) -> None:
        """Remember a delivery until it is settled."""
        self._held[tag] = Held(tag, queue, entry, consumer, self.vhost.now())
        if not self._watched:
            self._watched = True
            self.connection.broker.watch_deliveries(self)

    def oldest_delivered_at(self) -> float | None:
        """When the delivery was made that waits longest for its settlement."""
        held = next(iter(self._held.values()), None)
        if held is None:
            self._watched = False
        return None if held is None else held.delivered_at

    def cancelled_by_broker(self, consumer: Consumer) -> None:
        """Tell the client that the queue is gone, if it asked to be told."""
        known = self.consumers.pop(consumer.tag, None) is not None
        if known and self.connection.wants_cancels and not self.closing:
            self.send_method(commands.Basic.Cancel(consumer.tag, True))

    # -- settling ---------------------------------------------------------------------------------

    def settle(self, tag: int, multiple: bool, how: Settlement) -> None:
        """Settle one delivery, or all up to ``tag`` (0: all there are); 406 for an unknown tag."""
        if tag in self._held:
            tags = [tag] if not multiple else [one for one in self._held if one <= tag]
        elif tag == 0 and multiple:
            tags = list(self._held)
        else:
            raise BrokerError(PRECONDITION_FAILED, f"unknown delivery tag {tag}")
        helds = [self._held.pop(one) for one in tags]
        if self.mode == "tx":
            self.transaction.settle(helds, how)
        else:
            self._settle(helds, how)

    def take_back(self) -> list[Held]:
        """Everything that the client holds, taken from it; `give_back` returns it to the queues."""
        helds = list(self._held.values())
        self._held.clear()
        return helds

    def give_back(self, helds: list[Held]) -> None:
        """Requeue what was taken from the client."""
        self._settle(helds, "requeue")

    def _settle(self, helds: list[Held], how: Settlement) -> None:
        if len(helds) == 1:
            helds[0].queue.settled(self, helds, how)
        else:
            for part in _parts(helds):
                part[0].queue.settled(self, part, how)
        if self.limiter.limit:
            self.limiter.settled(sum(held.consumer is not None for held in helds))

    # -- transactions -----------------------------------------------------------------------------

    def commit(self) -> None:
        """Do what the transaction has asked for; 406 if a full queue refused a publish.

        The answer comes once what was published is safe, and before what is delivered because of
        what was settled.
        """
        transaction, self.transaction = self.transaction, Transaction()
        refused = False
        for message, queues, mandatory in transaction.publishes:
            refused = self._deliver(message, queues, mandatory=mandatory) or refused
        if not refused:
            self.keep_back()
            self.send_method(commands.Tx.CommitOk())
        for how, helds in transaction.settlements():
            self._settle(helds, how)
        if refused:
            raise BrokerError(PRECONDITION_FAILED, "partial tx completion")

    def roll_back(self) -> None:
        """Forget what the transaction has asked for; the client has to settle again."""
        transaction, self.transaction = self.transaction, Transaction()
        for held in transaction.held():
            self._held[held.tag] = held
        self._held = dict(sorted(self._held.items()))

    # -- the end ----------------------------------------------------------------------------------

    def cancel(self, tag: str) -> None:
        """A consumer goes by its own wish."""
        consumer = self.consumers.pop(tag, None)
        if consumer is not None:
            consumer.queue.cancel(consumer)

    def close(self) -> None:
        """Give everything back. Nothing is sent any more, but what was kept back still is."""
        self.shut()
        self.release()

    def shut(self) -> None:
        """Stop, and leave the classic queues that are consumed from.

        RabbitMQ leaves the others when the client has agreed to the end of the channel.
        """
        self.stop()
        consumed = {consumer.queue: None for consumer in self.consumers.values()}
        self._leave([queue for queue in consumed if not queue.is_quorum])

    def stop(self) -> None:
        """Nothing is sent any more, nothing is taken."""
        if self.closing:
            return
        self.flush_confirms()
        self.closing = True
        self.contents.drop()
        self._confirms.forget()
        for held in self.transaction.held():
            self._held[held.tag] = held
        self._held = dict(sorted(self._held.items()))

    def release(self) -> None:
        """Leave every queue; the channel is no more."""
        consumed = (consumer.queue for consumer in self.consumers.values())
        self._leave([*consumed, *(held.queue for held in self._held.values())])
        self.vhost.sender_closed(self)

    def _leave(self, queues: Iterable[Queue]) -> None:
        for queue in dict.fromkeys(queues):
            for tag in [one.tag for one in self.consumers.values() if one.queue is queue]:
                del self.consumers[tag]
            tags = [tag for tag, held in self._held.items() if held.queue is queue]
            queue.channel_closed(self, [self._held.pop(tag) for tag in tags])


def _parts(helds: list[Held]) -> list[list[Held]]:
    """Deliveries by queue and consumer, in RabbitMQ's order: names, gets before consumers."""
    parts: dict[tuple[str, int, bool, int, str], list[Held]] = {}
    for held in helds:
        queue, consumer = held.queue, held.consumer
        if consumer is None:
            key = (queue.name, queue.number, False, held.tag, "")
        else:
            key = (queue.name, queue.number, True, 0, consumer.tag)
        parts.setdefault(key, []).append(held)
    return [parts[key] for key in sorted(parts)]
