"""One channel: contents coming in, deliveries and confirms going out, and who holds what.

Which method does what stands in `methods`; this file keeps the channel's own state consistent.
"""

from typing import TYPE_CHECKING, Literal, NoReturn

from pamqp import commands
from pamqp.base import Frame

from runtime.broker import tables, wire
from runtime.broker.entry import Entry
from runtime.broker.errors import (
    ACCESS_REFUSED,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    UNEXPECTED_FRAME,
    BrokerError,
)
from runtime.broker.messages import Message, body_size
from runtime.broker.queue import Queue
from runtime.broker.vhost import VirtualHost

if TYPE_CHECKING:
    from runtime.broker.protocol import Connection

Settlement = Literal["ack", "reject", "requeue"]
BODY_SIZE_MAX = 134217728  # RabbitMQ 3.10's max_message_size


class ChannelConsumer:
    """A consumer of one queue on one channel."""

    def __init__(self, channel: "Channel", tag: str, queue: Queue, *, no_ack: bool, exclusive: bool
                 ) -> None:  # fmt: skip
        self.channel = channel
        self.tag = tag
        self.queue = queue
        self.no_ack = no_ack
        self.exclusive = exclusive
        self.prefetch = channel.prefetch
        self.unacked = 0
        self._tag_bytes = wire.short(tag)

    def can_take(self) -> bool:
        """Whether prefetch and the connection's buffer have room for one more."""
        channel = self.channel
        if not channel.connection.has_room():
            return False
        if self.no_ack:
            return True
        room = not self.prefetch or self.unacked < self.prefetch
        limit = channel.global_prefetch
        return room and (not limit or channel.consumers_unacked < limit)

    def deliver(self, entry: Entry, *, redelivered: bool) -> None:
        """Send the message, and remember it until it is settled."""
        channel, message = self.channel, entry.message
        tag = channel.hand_out(self.queue, entry, None if self.no_ack else self)
        header = message.header
        if self.queue.is_quorum and entry.count:
            header = message.with_header("x-delivery-count", tables.long(entry.count))
        address = message.address
        channel.send(
            wire.deliver(channel.number, self._tag_bytes, tag, redelivered, address)
            + wire.content(channel.number, header, message.body, channel.connection.frame_size_max)
        )
        if self.no_ack:
            self.queue.acked(entry)

    def cancelled_by_broker(self) -> None:
        """Tell the client that the queue is gone, if it asked to be told."""
        channel = self.channel
        if channel.consumers.pop(self.tag, None) is not None and channel.connection.wants_cancels:
            channel.send_method(commands.Basic.Cancel(self.tag, True))


class Held:
    """A delivery that is not settled yet."""

    __slots__ = ("consumer", "entry", "queue")

    def __init__(self, queue: Queue, entry: Entry, consumer: ChannelConsumer | None) -> None:
        self.queue = queue
        self.entry = entry
        self.consumer = consumer


class Channel:
    """One open channel of a connection."""

    def __init__(self, connection: "Connection", number: int, vhost: VirtualHost) -> None:
        self.connection = connection
        self.number = number
        self.vhost = vhost
        self.closing = False
        self.current_queue = ""
        self.consumers: dict[str, ChannelConsumer] = {}
        self.consumers_unacked = 0
        self.prefetch = 0
        self.global_prefetch = 0
        self.mode: Literal["", "confirm", "tx"] = ""
        self._held: dict[int, Held] = {}
        self._next_tag = 1
        self._published = 0
        self._unconfirmed: dict[int, None] = {}
        self._confirmed: tuple[list[int], list[int]] = ([], [])
        self._publish: tuple[str, str, int] | None = None
        self._header: bytes | None = None
        self._body: list[bytes] = []
        self._body_left = 0
        self._kept_back: list[bytes] | None = None

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

    def hand_out(self, queue: Queue, entry: Entry, consumer: ChannelConsumer | None,
                 *, held: bool | None = None) -> int:  # fmt: skip
        """Number a delivery; remember it if a consumer, or a get (``held``), must settle it."""
        tag = self._next_tag
        self._next_tag += 1
        if consumer is not None:
            consumer.unacked += 1
            self.consumers_unacked += 1
        if consumer is not None or held:
            self._held[tag] = Held(queue, entry, consumer)
        return tag

    # -- contents ---------------------------------------------------------------------------------

    def expect_method(self) -> None:
        """505 if a content is still incomplete."""
        if self._publish is not None:
            self._unexpected()

    def begin_publish(self, exchange: str, routing_key: str, bits: int) -> None:
        """A basic.publish has come; its content follows."""
        self._publish = (exchange, routing_key, bits)

    def take_header(self, header: bytes) -> None:
        """A content header has come."""
        if self._publish is None or self._header is not None:
            self._unexpected()
        self._body_left = body_size(header)
        if self._body_left > BODY_SIZE_MAX:
            text = f"message size {self._body_left} is larger than configured max size"
            raise BrokerError(PRECONDITION_FAILED, f"{text} {BODY_SIZE_MAX}", wire.PUBLISH_INDEX)
        self._header = header
        if not self._body_left:
            self._finish_publish()

    def take_body(self, body: bytes) -> None:
        """A part of a body has come."""
        if self._publish is None or self._header is None or len(body) > self._body_left:
            self._unexpected()
        self._body.append(body)
        self._body_left -= len(body)
        if not self._body_left:
            self._finish_publish()

    def _unexpected(self) -> NoReturn:
        if self._publish is None:
            text = "expected method frame, got non method frame instead"
            raise BrokerError(UNEXPECTED_FRAME, text, 0)
        wanted = "header for class 60" if self._header is None else "body"
        got = "header" if self._header is None else "body"
        text = f"expected content {wanted}, got non content {got} frame instead"
        raise BrokerError(UNEXPECTED_FRAME, text, wire.PUBLISH_INDEX)

    def _finish_publish(self) -> None:
        publish, header, body = self._publish, self._header, b"".join(self._body)
        self._publish, self._header, self._body = None, None, []
        assert publish is not None
        assert header is not None
        try:
            self._route(*publish, header, body)
        except BrokerError as error:
            error.method = wire.PUBLISH_INDEX
            raise

    def _route(self, exchange: str, key: str, bits: int, header: bytes, body: bytes) -> None:
        if bits & 2:
            raise BrokerError(NOT_IMPLEMENTED, "immediate=true")
        target = self.vhost.exchange(exchange)
        if target.internal:
            owner = f"exchange '{exchange}' in vhost '{self.vhost.name}'"
            raise BrokerError(ACCESS_REFUSED, f"cannot publish to internal {owner}")
        message = Message(exchange, key, header, body)
        self._check_user(message)
        recorder = self.vhost.recorder
        before = recorder.mark
        routed = self.vhost.publish(target, message)
        if bits & 1 and not routed.queues:
            self.send(wire.returned(self.number, 312, "NO_ROUTE", message.address))
            self.send(wire.content(self.number, header, body, self.connection.frame_size_max))
        if self.mode == "confirm":
            self._published += 1
            self._unconfirmed[self._published] = None
            if routed.refused or recorder.mark == before:
                self.confirm(self._published, positive=not routed.refused)
            else:
                self.connection.broker.wait_for_journal(self, self._published)

    def _check_user(self, message: Message) -> None:
        user = self.connection.user
        if message.user_id not in (None, user):
            text = f"user_id property set to '{message.user_id}' but authenticated user was"
            raise BrokerError(PRECONDITION_FAILED, f"{text} '{user}'")

    # -- confirms ---------------------------------------------------------------------------------

    def confirm(self, number: int, *, positive: bool) -> None:
        """Publish ``number`` is settled; `flush_confirms` tells the client."""
        if number in self._unconfirmed:
            del self._unconfirmed[number]
            self._confirmed[0 if positive else 1].append(number)
            self.connection.broker.has_confirms(self)

    def flush_confirms(self) -> None:
        """Send confirms, several as one where that is true (rabbit_channel:coalesce_and_send)."""
        acks, nacks = (sorted(numbers) for numbers in self._confirmed)
        self._confirmed = ([], [])
        if self.closing:
            return
        for numbers, others, positive in ((acks, nacks, True), (nacks, acks, False)):
            if not numbers:
                continue
            bound = min([next(iter(self._unconfirmed), numbers[-1] + 1), *others[:1]])
            together = [number for number in numbers if number < bound]
            if positive and len(numbers) == 1:
                together = []
            if together:
                last = together[-1]
                self.send(wire.confirm(self.number, last, multiple=True, positive=positive))
            for number in numbers[len(together) :]:
                self.send(wire.confirm(self.number, number, multiple=False, positive=positive))

    # -- settling ---------------------------------------------------------------------------------

    def settle(self, tag: int, multiple: bool, how: Settlement) -> None:
        """Settle one delivery, or all up to ``tag`` (0: all there are); 406 for an unknown tag."""
        if tag in self._held:
            tags = [tag] if not multiple else [one for one in self._held if one <= tag]
        elif tag == 0 and multiple:
            tags = list(self._held)
        else:
            raise BrokerError(PRECONDITION_FAILED, f"unknown delivery tag {tag}")
        self.pump(self._let_go(tags, how, by_consumer=True))

    def recover(self) -> list[Queue]:
        """Give everything back; the caller pumps these queues."""
        return self._let_go(list(self._held), "requeue", by_consumer=True)

    def _let_go(self, tags: list[int], how: Settlement, *, by_consumer: bool) -> list[Queue]:
        touched: dict[Queue, None] = {}
        for tag in tags:
            held = self._held.pop(tag)
            queue = held.queue
            if held.consumer is not None:
                held.consumer.unacked -= 1
                self.consumers_unacked -= 1
            if how == "ack":
                queue.acked(held.entry)
            elif how == "reject":
                queue.rejected(held.entry)
            else:
                queue.returned(held.entry, by_consumer=by_consumer)
            touched[queue] = None
        return list(touched)

    def pump(self, queues: list[Queue]) -> None:
        """Serve these queues; all queues of the channel where they share a prefetch."""
        if self.global_prefetch:
            shared = [consumer.queue for consumer in self.consumers.values()]
            queues = list(dict.fromkeys(queues + shared))
        for queue in queues:
            queue.pump()

    # -- the end ----------------------------------------------------------------------------------

    def remove_consumer(self, tag: str) -> None:
        """A consumer goes; the last one takes an auto-delete queue with it."""
        consumer = self.consumers.pop(tag, None)
        if consumer is None or consumer.queue.deleted:
            return
        queue = consumer.queue
        queue.consumers.remove(consumer)
        queue.used_at = self.vhost.now()
        if queue.auto_delete and not queue.consumers:
            self.vhost.drop_queue(queue)
        elif consumer.exclusive or queue.options.single_active:
            queue.pump()

    def close(self) -> None:
        """Give everything back. Nothing is sent any more, but what was kept back still is."""
        if self.closing:
            return
        self.flush_confirms()
        self.closing = True
        self._publish, self._header, self._body = None, None, []
        self._unconfirmed.clear()
        for tag in list(self.consumers):
            self.remove_consumer(tag)
        for queue in self._let_go(list(self._held), "requeue", by_consumer=False):
            queue.pump()
