"""Whose turn it is on a classic queue (RabbitMQ's rabbit_queue_consumers.erl).

Consumers of the highest priority take turns. One whose turn comes while it cannot take a message
steps aside, and comes back behind the others when its channel has settled something. So the order
depends on who was asked when, and clients can see it.
"""

from collections import deque
from collections.abc import Callable, Iterator

from runtime.broker.consumer import Consumer, Receiver


class Share:
    """What one channel has to do with one queue."""

    __slots__ = ("_resumed", "aside", "consumers", "suspended")

    def __init__(self, resumed: Callable[["Share"], None]) -> None:
        self.consumers: dict[str, Consumer] = {}
        self.aside: list[Consumer] = []
        self.suspended = False
        self._resumed = resumed

    def resume(self) -> None:
        """The channel's shared prefetch has room again."""
        self._resumed(self)


class Turns:
    """The consumers of one queue. ``resumed`` is called when some may have come back."""

    def __init__(self, *, single_active: bool, resumed: Callable[[], None]) -> None:
        self.count = 0
        # The only consumer there may be (exclusive), or the one that is served (single active).
        self.holder: Consumer | None = None
        self._single_active = single_active
        self._resumed = resumed
        self._lines: dict[int, deque[Consumer]] = {}
        self._ordered: list[deque[Consumer]] = []
        self._shares: dict[Receiver, Share] = {}

    def __iter__(self) -> Iterator[Consumer]:
        for share in self._shares.values():
            yield from share.consumers.values()

    # -- who there is -----------------------------------------------------------------------------

    def add(self, consumer: Consumer) -> None:
        """Take up a consumer."""
        share = self._shares.get(consumer.channel)
        if share is None:
            share = self._shares[consumer.channel] = Share(self._bring_back_and_run)
        share.consumers[consumer.tag] = consumer
        self.count += 1
        self._line_up(consumer)
        if self.holder is None and (self._single_active or consumer.exclusive):
            self.holder = consumer

    def remove(self, consumer: Consumer) -> bool:
        """Forget a consumer; False if it was not there."""
        share = self._shares.get(consumer.channel)
        if share is None or share.consumers.pop(consumer.tag, None) is None:
            return False
        self.count -= 1
        if consumer in share.aside:
            share.aside.remove(consumer)
        elif consumer in (line := self._lines[consumer.priority]):
            line.remove(consumer)
        if not share.consumers:
            self._forget(consumer.channel)
        self._find_holder()
        return True

    def remove_channel(self, channel: Receiver) -> None:
        """Forget all consumers of a channel."""
        share = self._shares.get(channel)
        if share is not None:
            for consumer in list(share.consumers.values()):
                self.remove(consumer)

    def _forget(self, channel: Receiver) -> None:
        channel.limiter.forget(self._shares.pop(channel))

    def _find_holder(self) -> None:
        if self.holder is None or self.holder in self:
            return
        self.holder = None
        if self._single_active:
            self.holder = next((line[0] for line in self._ordered if line), None)

    # -- turns ------------------------------------------------------------------------------------

    def next(self) -> Consumer | None:
        """The consumer that gets the next message, already charged for it."""
        if self._single_active:
            return self._holder_if_ready()
        for line in self._ordered:
            while line:
                consumer = line.popleft()
                if self._takes(consumer):
                    line.append(consumer)
                    return consumer
                self._shares[consumer.channel].aside.append(consumer)
        return None

    def _holder_if_ready(self) -> Consumer | None:
        holder = self.holder
        if holder is None:
            return None
        share = self._shares[holder.channel]
        if holder in share.aside:
            return None
        if self._takes(holder):
            return holder
        self._lines[holder.priority].remove(holder)
        share.aside.append(holder)
        return None

    def _takes(self, consumer: Consumer) -> bool:
        channel, credit = consumer.channel, consumer.credit
        share = self._shares[channel]
        if share.suspended or credit == 0 or not channel.has_room():
            return False
        limiter = channel.limiter
        if limiter.limit and not limiter.admit(share, counted=not consumer.no_ack):
            share.suspended = True
            return False
        if credit is not None:
            consumer.credit = credit - 1
        return True

    def credit(self, channel: Receiver, tag: str, count: int) -> bool:
        """A consumer has settled so many; True if somebody came back to the line."""
        share = self._shares.get(channel)
        # A new consumer of the same tag profits from what an old one settles.
        consumer = None if share is None else share.consumers.get(tag)
        if share is None or consumer is None or consumer.credit is None:
            return False
        was_exhausted = consumer.credit == 0
        consumer.credit += count
        return was_exhausted and self._bring_back(share)

    def has_room(self, channel: Receiver) -> bool:
        """The channel's connection takes deliveries again; True if somebody came back."""
        share = self._shares.get(channel)
        return share is not None and self._bring_back(share)

    def _bring_back(self, share: Share) -> bool:
        back = [consumer for consumer in share.aside if consumer.credit != 0]
        share.aside = [consumer for consumer in share.aside if consumer.credit == 0]
        for consumer in back:
            self._line_up(consumer)
        return bool(back)

    def _bring_back_and_run(self, share: Share) -> None:
        share.suspended = False
        if self._bring_back(share):
            self._resumed()

    def _line_up(self, consumer: Consumer) -> None:
        line = self._lines.get(consumer.priority)
        if line is None:
            line = self._lines[consumer.priority] = deque()
            self._ordered = [self._lines[one] for one in sorted(self._lines, reverse=True)]
        line.append(consumer)
