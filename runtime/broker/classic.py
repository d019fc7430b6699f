"""A classic queue: what comes back takes its old place, consumers take turns.

RabbitMQ's rabbit_amqqueue_process.erl, for one node. Where several things follow from one event,
their order is RabbitMQ's, for clients can see it.
"""

from collections.abc import Sequence

from runtime.broker.backlog import Backlog, ByPosition, ByPriority
from runtime.broker.consumer import Consumer, Held, Receiver, Settlement
from runtime.broker.entry import Entry
from runtime.broker.errors import ACCESS_REFUSED, BrokerError
from runtime.broker.messages import Message
from runtime.broker.queue import Got, Queue
from runtime.broker.records import Delivered
from runtime.broker.turns import Turns


class ClassicQueue(Queue):
    """A classic queue of one virtual host."""

    @property
    def consumer_count(self) -> int:
        """How many consumers there are."""
        return self._turns.count

    def consumers(self) -> list[Consumer]:
        """All consumers."""
        return list(self._turns)

    def _backlog(self) -> Backlog:
        self._turns = Turns(single_active=self.options.single_active, resumed=self._pump)
        priority_max = self.options.priority_max
        return ByPriority(priority_max) if priority_max else ByPosition()

    # -- in ---------------------------------------------------------------------------------------

    def publish(self, message: Message, sender: object | None = None) -> bool:
        """Take a message; False if the queue is full and refuses."""
        options = self.options
        if options.refuses and self._over(1, len(message.body)):
            if options.overflow == "reject-publish-dlx":
                self.discard(Entry(0, message, None), "maxlen")
            return False
        entry = self._new_entry(message)
        if not self._ready:
            # A waiting consumer beats even a lifetime of zero.
            consumer = self._turns.next()
            if consumer is not None:
                self._hand_out(entry, consumer)
                return True
        if options.ttl_ms == 0 and options.dead_letter_exchange is None:
            self.remove(entry)
            return True
        self._append(entry)
        if self._drop_overflow() or len(self._ready) == 1:
            self.expire()
        return True

    def restore(self, entry: Entry) -> None:
        """Put back an entry that the journal kept."""
        entry.stored = True
        self._append(entry)

    # -- out --------------------------------------------------------------------------------------

    def _pump(self) -> None:
        ready = self._ready
        while ready:
            consumer = self._turns.next()
            if consumer is None:
                return
            entry = self._take()
            self.expire()
            self._hand_out(entry, consumer)

    def _hand_out(self, entry: Entry, consumer: Consumer) -> None:
        redelivered = self._goes_out(entry)
        consumer.channel.deliver(consumer, entry, redelivered=redelivered)
        if consumer.no_ack:
            self.remove(entry)
        else:
            self.unacked += 1

    def _goes_out(self, entry: Entry) -> bool:
        """Remember that the entry was out; whether it was before."""
        redelivered = entry.delivered
        entry.delivered = True
        if entry.stored and not redelivered:
            if self.options.priority_max:
                self._around.recorder.note(Delivered(entry.position))
            elif entry.position > self.delivered_through:
                self.delivered_through = entry.position
                self._around.recorder.note_delivery(self)
        return redelivered

    def get(self, channel: Receiver, tag: int, *, no_ack: bool) -> Got | None:
        """Hand out the head; None if there is nothing."""
        self.used()
        self.expire()
        if not self._ready:
            return None
        entry = self._take()
        redelivered = self._goes_out(entry)
        self.expire()  # what is left is counted without what has just died
        if no_ack:
            self.remove(entry)
        else:
            self.unacked += 1
        return Got(entry, redelivered, len(self._ready))

    # -- consumers --------------------------------------------------------------------------------

    def check_consumer(self, consumer: Consumer) -> None:
        """403 where somebody else has, or wants, the queue for itself."""
        if self.options.single_active:
            taken = consumer.exclusive
        else:
            taken = self._turns.holder is not None or (consumer.exclusive and self._turns.count > 0)
        if taken:
            owner = f"queue '{self.name}' in vhost '{self._around.name}'"
            raise BrokerError(ACCESS_REFUSED, f"{owner} in exclusive use")

    def consume(self, consumer: Consumer) -> None:
        """Take up a consumer and serve it."""
        self._turns.add(consumer)
        self._pump()

    def cancel(self, consumer: Consumer) -> None:
        """A consumer goes; the last one takes an auto-delete queue with it."""
        if self._turns.remove(consumer):
            self._consumer_gone()

    def _consumer_gone(self) -> bool:
        """Whether the queue has gone with it."""
        self.used()
        if self.auto_delete and not self._turns.count:
            self._around.drop_queue(self)
            return True
        # RabbitMQ 3.10.8 lets the successor of a single active consumer wait, and then crashes.
        self._pump()
        return False

    def channel_closed(self, channel: Receiver, helds: Sequence[Held]) -> None:
        """A channel ends: its consumers go, what it holds comes back."""
        self.unacked -= len(helds)
        if self.deleted:
            return
        before = self._turns.count
        self._turns.remove_channel(channel)
        if self._turns.count < before and self.auto_delete and not self._turns.count:
            self._around.drop_queue(self)
            return
        self.used()
        self._come_back(helds)

    def has_room(self, channel: Receiver) -> None:
        """The channel's connection takes deliveries again."""
        if self._turns.has_room(channel):
            self._pump()

    def sender_closed(self, sender: object) -> None:
        """Nothing is kept about senders."""

    # -- settled ----------------------------------------------------------------------------------

    def settled(self, channel: Receiver, helds: Sequence[Held], how: Settlement) -> None:
        """One consumer, or one get, of this channel has settled these."""
        self.unacked -= len(helds)
        if self.deleted:
            return
        consumer = helds[0].consumer
        back = consumer is not None and self._turns.credit(channel, consumer.tag, len(helds))
        if how == "requeue":
            self._come_back(helds)
            return
        for held in helds:
            if how == "ack":
                self.remove(held.entry)
            else:
                self.discard(held.entry, "rejected")
        if back:
            self._pump()

    def _come_back(self, helds: Sequence[Held]) -> None:
        for held in helds:
            self._put_back(held.entry)
        self._drop_overflow()
        self.expire()
        self._pump()
