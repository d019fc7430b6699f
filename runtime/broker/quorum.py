"""A quorum queue on one node: what comes back is counted and served first (rabbit_fifo.erl).

With a delivery limit, or when its channel ends, a message comes back in front of everything that
was never out; without a limit, one that its consumer gives back goes to the end. Every change ends
in `_checkout`: messages go out while somebody may get them, then the limits are looked at.
"""

from collections.abc import Sequence

from runtime.broker.backlog import Backlog, ReturnsFirst
from runtime.broker.consumer import Consumer, Held, Receiver, Settlement
from runtime.broker.entry import Entry, stored
from runtime.broker.errors import NOT_IMPLEMENTED, RESOURCE_LOCKED, BrokerError
from runtime.broker.messages import Message
from runtime.broker.queue import Got, Queue
from runtime.broker.records import Counted, Removed
from runtime.broker.refusals import Refusals
from runtime.broker.service import ServiceQueue, Subscription


class QuorumQueue(Queue):
    """A quorum queue of one virtual host."""

    is_quorum = True

    @property
    def consumer_count(self) -> int:
        """Whoever holds something or may get something; not those who wait to be active."""
        return len(self._subscriptions)

    def consumers(self) -> list[Consumer]:
        """All consumers."""
        everybody = [*self._subscriptions.values(), *self._waiting]
        return [one.consumer for one in everybody if one.consumer and not one.cancelled]

    def _backlog(self) -> Backlog:
        self._subscriptions: dict[tuple[Receiver, str], Subscription] = {}
        self._waiting: list[Subscription] = []
        self._service = ServiceQueue()
        self._refusals = Refusals(self.options.length_max, self.options.bytes_max)
        return ReturnsFirst()

    # -- in ---------------------------------------------------------------------------------------

    def publish(self, message: Message, sender: object | None = None) -> bool:
        """Take a message; False if the queue has told this sender that it is full."""
        before = self._counts()
        refuses = self.options.refuses and sender is not None
        if refuses and self._refusals.refuses(sender, *before):
            return False
        self._append(self._new_entry(message, lifetime_ms_min=1))
        self._checkout(before)
        return True

    def restore(self, entry: Entry) -> None:
        """Put back an entry that the journal kept; one that was out has come back."""
        entry.stored = True
        if entry.delivered:
            entry.count = max(entry.count, 1)
        self._append(entry)

    def sender_closed(self, sender: object) -> None:
        """A sender will publish no more."""
        self._refusals.forget(sender)

    def purge(self) -> int:
        """Drop everything that is ready; return how much that was."""
        before = self._counts()
        count = super().purge()
        self._look_at_limits(before)
        return count

    # -- limits -----------------------------------------------------------------------------------

    def _counts(self) -> tuple[int, int]:
        """What the limits are held against: dead letters that wait for a route count, too."""
        return len(self._ready) + self.undeliverable, self._bytes + self.undeliverable_bytes

    def _look_at_limits(self, before: tuple[int, int]) -> None:
        if self.options.refuses:
            self._refusals.update(before, self._counts())
        elif self._drop_overflow():
            self.expire()

    def dead_letter_waits(self, entry: Entry, step: int) -> None:
        """A dead letter waits for its onward journey (``step`` 1), or no longer (-1)."""
        before = self._counts()
        super().dead_letter_waits(entry, step)
        if step < 0:
            self._look_at_limits(before)

    def declared(self) -> None:
        """Declaring a quorum queue again does not count as its use."""

    def woken(self) -> None:
        """The time asked for has come."""
        before = self._counts()
        super().woken()
        if not self.deleted:
            self._look_at_limits(before)

    # -- out --------------------------------------------------------------------------------------

    def _checkout(self, before: tuple[int, int]) -> None:
        """Send what can be sent; ``before`` are the counts before the change that leads here."""
        while batches := self._fill_batches():
            for subscription, entries in sorted(batches, key=_tag):
                self._send(subscription, entries)
        self._look_at_limits(before)

    def _fill_batches(self) -> list[tuple[Subscription, list[Entry]]]:
        """Everything that can go out now. Each consumer gets its part in one piece."""
        batches: dict[Subscription, list[Entry]] = {}
        while True:
            self.expire()
            key = self._service.head()
            subscription = None if key is None else self._subscriptions.get(key)
            if key is None or (subscription is not None and not self._ready):
                return list(batches.items())
            # Who is gone leaves the queue when he is at its head, message or not.
            self._service.take()
            if subscription is None or not subscription.credit or not key[0].has_room():
                continue
            entry = self._take()
            subscription.credit -= 1
            self._goes_out(entry, subscription)
            self._service.add(subscription)
            batches.setdefault(subscription, []).append(entry)

    def _send(self, subscription: Subscription, entries: list[Entry]) -> None:
        consumer = subscription.consumer
        assert consumer is not None
        for entry in entries:
            consumer.channel.deliver(consumer, entry, redelivered=entry.count > 0)
        if consumer.no_ack:
            for entry in entries:
                self.remove(entry)
            self._settle(subscription, len(entries))

    def _goes_out(self, entry: Entry, subscription: Subscription) -> None:
        entry.delivered = True
        subscription.out += 1
        self.unacked += 1
        if entry.stored and entry.position > self.delivered_through:
            self.delivered_through = entry.position
            self._around.recorder.note_delivery(self)

    def get(self, channel: Receiver, tag: int, *, no_ack: bool) -> Got | None:
        """Hand out the head; None if there is nothing."""
        owner = f"queue '{self.name}' in vhost '{self._around.name}'"
        if self.options.single_active:
            text = f"cannot obtain access to locked {owner}. basic.get operations are not supported"
            raise BrokerError(
                RESOURCE_LOCKED, f"{text} by quorum queues with single active consumer"
            )
        self.used()
        before = self._counts()
        self.expire()
        key = (channel, str(tag))
        if not self._ready or key in self._subscriptions:
            return None
        entry = self._take()
        subscription = Subscription(key, None)
        self._subscriptions[key] = subscription
        self._goes_out(entry, subscription)
        if no_ack:
            self.remove(entry)
            self._settle(subscription, 1)
            self.expire()  # what is left is counted after this settlement, without what has died
        self._look_at_limits(before)
        return Got(entry, entry.count > 0, len(self._ready))

    def has_room(self, channel: Receiver) -> None:
        """The channel's connection takes deliveries again."""
        for subscription in self._subscriptions.values():
            if subscription.key[0] is channel:
                self._service.add(subscription)
        self._checkout(self._counts())

    # -- consumers --------------------------------------------------------------------------------

    def check_consumer(self, consumer: Consumer) -> None:
        """540 with a shared prefetch. ``exclusive`` has no meaning here."""
        if consumer.channel.limiter.limit:
            owner = f"queue '{self.name}' in vhost '{self._around.name}'"
            raise BrokerError(NOT_IMPLEMENTED, f"{owner} does not support global qos")

    def consume(self, consumer: Consumer) -> None:
        """Take up a consumer and serve it."""
        before = self._counts()
        key = (consumer.channel, consumer.tag)
        known = self._subscriptions.get(key)
        active = self._active() if self.options.single_active else None
        if known is not None and active in (None, known):
            known.take_over(consumer)
            self._service.add(known)
        elif self.options.single_active:
            self._waiting.append(Subscription(key, consumer))
            self._activate_next()
        else:
            self._serve(Subscription(key, consumer))
        self._checkout(before)

    def _serve(self, subscription: Subscription) -> None:
        self._subscriptions[subscription.key] = subscription
        self._service.add(subscription)

    def _active(self) -> Subscription | None:
        return next((one for one in self._subscriptions.values() if not one.cancelled), None)

    def _activate_next(self) -> None:
        if not self.options.single_active or not self._waiting or self._active() is not None:
            return
        successor = self._waiting.pop(0)
        # One that was cancelled and still holds something: RabbitMQ only half revives it.
        known = self._subscriptions.get(successor.key)
        if known is None:
            self._serve(successor)
        else:
            known.once = False

    def cancel(self, consumer: Consumer) -> None:
        """A consumer goes; it keeps what it holds."""
        if self.deleted:
            return
        before = self._counts()
        key = (consumer.channel, consumer.tag)
        subscription = self._subscriptions.get(key)
        if subscription is None:
            self._waiting = [one for one in self._waiting if one.key != key]
        else:
            subscription.cancel()
            self._drop_if_done(subscription)
            self._activate_next()
        self._checkout(before)

    def channel_closed(self, channel: Receiver, helds: Sequence[Held]) -> None:
        """A channel ends: its consumers go, what it holds comes back in front."""
        self.unacked -= len(helds)
        if self.deleted:
            return
        before = self._counts()
        self._refusals.forget(channel)
        self._waiting = [one for one in self._waiting if one.key[0] is not channel]
        gone = [one for key, one in self._subscriptions.items() if key[0] is channel]
        for subscription in sorted(gone, key=lambda one: one.key[1]):
            for held in helds:
                if _name_of(held) == subscription.key[1] and not self._is_exhausted(held.entry):
                    self._put_back(held.entry)
            del self._subscriptions[subscription.key]
            self.used()
            self._activate_next()
        self._checkout(before)

    # -- settled ----------------------------------------------------------------------------------

    def settled(self, channel: Receiver, helds: Sequence[Held], how: Settlement) -> None:
        """One consumer, or one get, of this channel has settled these."""
        subscription = self._subscriptions.get((channel, _name_of(helds[0])))
        if self.deleted or subscription is None:
            self.unacked -= len(helds)
            return
        before = self._counts()
        if how == "requeue":
            self._give_back(subscription, helds)
        else:
            for held in helds:
                if how == "ack":
                    self.remove(held.entry)
                else:
                    self.discard(held.entry, "rejected")
            self._settle(subscription, len(helds))
        self._checkout(before)

    def _settle(self, subscription: Subscription, count: int) -> None:
        self.unacked -= count
        subscription.settled(count)
        self._drop_if_done(subscription)
        self._service.add(subscription)

    def _drop_if_done(self, subscription: Subscription) -> None:
        if subscription.once and not subscription.out:
            self._subscriptions.pop(subscription.key, None)
            self.used()

    def _give_back(self, subscription: Subscription, helds: Sequence[Held]) -> None:
        if self.options.delivery_limit is None:
            for held in helds:
                before = self._counts()
                self._count(held.entry)
                self._move_to_back(held.entry)
                self._settle(subscription, 1)
                self._checkout(before)
            return
        for held in helds:
            if self._is_exhausted(held.entry):
                # Paid for twice, here and below, as in RabbitMQ.
                subscription.earn(1)
            else:
                self._put_back(held.entry)
        self._settle(subscription, len(helds))

    def _is_exhausted(self, entry: Entry) -> bool:
        """Count a return; dead-letter an entry that has come back too often."""
        self._count(entry)
        limit = self.options.delivery_limit
        if limit is None or entry.count <= limit:
            return False
        self.discard(entry, "delivery_limit")
        return True

    def _count(self, entry: Entry) -> None:
        entry.count += 1
        if entry.stored:
            self._around.recorder.note(Counted(entry.position, entry.count))

    def _move_to_back(self, entry: Entry) -> None:
        recorder = self._around.recorder
        old, entry.position = entry.position, self._around.next_position()
        if entry.stored:
            recorder.note(Removed(old))
            left_ms = None
            if entry.expires_at is not None:
                left_ms = int((entry.expires_at - self._around.now()) * 1000)
            expires_at_ms = None if left_ms is None else self._around.wall_ms() + left_ms
            recorder.note(stored(entry, self.number, expires_at_ms))
            recorder.note(Counted(entry.position, entry.count))
        self._append(entry)


def _tag(batch: tuple[Subscription, list[Entry]]) -> str:
    return batch[0].key[1]


def _name_of(held: Held) -> str:
    return str(held.tag) if held.consumer is None else held.consumer.tag
