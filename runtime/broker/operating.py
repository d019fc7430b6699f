"""What an operator does to a running broker, and what he can see of it, in rabbitmqctl's words.

Everything here happens to clients of RabbitMQ, too; nothing here is a shortcut into the core. So it
is also how a simulator disturbs the broker, and looks at it without disturbing it.
"""

from collections.abc import Callable, Iterator

import msgspec

from runtime.broker.broker import Broker, Resource
from runtime.broker.channel import Channel
from runtime.broker.errors import BrokerError, no_queue
from runtime.broker.protocol import Connection
from runtime.broker.queue import Queue


class QueueListing(msgspec.Struct, frozen=True, kw_only=True):
    """One queue. ``undeliverable`` dead letters wait for a route (at-least-once).

    ``head_message_timestamp`` is in seconds, None where nothing is ready or it says nothing.
    """

    vhost: str
    name: str
    type: str
    messages_ready: int
    messages_unacknowledged: int
    message_bytes_ready: int
    undeliverable: int
    consumers: int
    head_message_timestamp: int | None


class MessageListing(msgspec.Struct, frozen=True, kw_only=True):
    """One ready message. ``count`` is how often it came back (quorum queues)."""

    exchange: str
    routing_key: str
    header: bytes
    body: bytes
    redelivered: bool
    count: int
    expires_at: float | None


class ConsumerListing(msgspec.Struct, frozen=True, kw_only=True):
    """One consumer: ``connection`` and ``channel`` are numbers."""

    vhost: str
    queue: str
    connection: int
    channel: int
    tag: str
    ack_required: bool
    prefetch: int


class ConnectionListing(msgspec.Struct, frozen=True, kw_only=True):
    """One connection, by its number."""

    number: int
    state: str
    user: str
    vhost: str
    channels: int
    received_bytes: int


class ChannelListing(msgspec.Struct, frozen=True, kw_only=True):
    """One channel of a connection."""

    connection: int
    number: int
    consumers: int
    messages_unacknowledged: int
    messages_unconfirmed: int
    prefetch: int
    global_prefetch: int
    mode: str


class Operator:
    """An operator of one broker. Names that do not exist raise what a client would get.

    ``done`` is called after each deed: there may be output to take.
    """

    def __init__(self, broker: Broker, done: Callable[[], None] = lambda: None) -> None:
        self._broker = broker
        self._done = done

    # -- connections ------------------------------------------------------------------------------

    def close_connection(self, connection: Connection, reason: str) -> None:
        """Close a connection with 320, as ``rabbitmqctl close_connection`` does."""
        connection.force_close(reason)
        self._finish()

    def close_all_connections(self, reason: str, vhost: str | None = None) -> None:
        """Close every connection (of a virtual host) with 320."""
        for connection in list(self._broker.connections.values()):
            if vhost in (None, connection.vhost_name):
                self.close_connection(connection, reason)

    def drop_connection(self, connection: Connection) -> None:
        """End a connection without a word: what it held comes back, as after a lost network."""
        connection.end("abort")
        self._finish()

    def fail_connection(self, connection: Connection, code: int, text: str) -> None:
        """Close a connection with a code and text of AMQP's, as a broker in trouble does (541)."""
        connection.close(code, BrokerError(code, text).text)
        self._finish()

    def fail_channel(self, channel: Channel, code: int, text: str) -> None:
        """Close a channel with a code and text of AMQP's, as the consumer timeout does (406)."""
        channel.connection.fail_channel(channel, BrokerError(code, text, 0))
        self._finish()

    # -- queues -----------------------------------------------------------------------------------

    def delete_queue(self, name: str, vhost: str = "/") -> int:
        """Delete a queue; its consumers are told. Returns how many messages were ready."""
        queue = self._queue(name, vhost)
        ready = len(queue)
        self._broker.vhosts[vhost].drop_queue(queue)
        self._finish()
        return ready

    def purge_queue(self, name: str, vhost: str = "/") -> int:
        """Drop everything that is ready; return how much that was."""
        count = self._queue(name, vhost).purge()
        self._finish()
        return count

    def cancel_consumer(self, name: str, tag: str, vhost: str = "/") -> int:
        """Take this tag's consumers off a queue, and tell their clients; return how many.

        RabbitMQ does so where a queue fails over (``x-cancel-on-ha-failover``). What they hold
        stays theirs.
        """
        queue = self._queue(name, vhost)
        found = [consumer for consumer in queue.consumers() if consumer.tag == tag]
        for consumer in found:
            consumer.channel.cancelled_by_broker(consumer)
            queue.cancel(consumer)
        self._finish()
        return len(found)

    # -- resources --------------------------------------------------------------------------------

    def set_alarm(self, resource: Resource) -> None:
        """The broker is low on something: who publishes from now on is blocked."""
        self._broker.raise_alarm(resource)
        self._finish()

    def clear_alarm(self, resource: Resource) -> None:
        """There is enough again: publishers are unblocked when no alarm is left."""
        self._broker.clear_alarm(resource)
        self._finish()

    # -- what there is ----------------------------------------------------------------------------

    def alarms(self) -> list[Resource]:
        """What the broker is low on."""
        return list(self._broker.alarms)

    def list_queues(self) -> list[QueueListing]:
        """Every queue, in order of virtual hosts and declarations."""
        return [
            QueueListing(
                vhost=vhost.name,
                name=queue.name,
                type=queue.options.type,
                messages_ready=counts.ready,
                messages_unacknowledged=counts.unacked,
                message_bytes_ready=counts.ready_bytes,
                undeliverable=counts.undeliverable,
                consumers=counts.consumers,
                head_message_timestamp=queue.head_timestamp(),
            )
            for vhost in self._broker.vhosts.values()
            for queue in vhost.queues.values()
            for counts in (queue.statistics(),)
        ]

    def list_messages(self, name: str, vhost: str = "/") -> list[MessageListing]:
        """What is ready in a queue, in the order of delivery; nothing is taken."""
        return [
            MessageListing(
                exchange=entry.message.exchange,
                routing_key=entry.message.routing_key,
                header=entry.message.header,
                body=entry.message.body,
                redelivered=entry.delivered,
                count=entry.count,
                expires_at=entry.expires_at,
            )
            for entry in self._queue(name, vhost)
        ]

    def list_consumers(self) -> list[ConsumerListing]:
        """Every consumer, in order of connections and channels."""
        return [
            ConsumerListing(
                vhost=channel.vhost.name,
                queue=consumer.queue.name,
                connection=channel.connection.number,
                channel=channel.number,
                tag=consumer.tag,
                ack_required=not consumer.no_ack,
                prefetch=consumer.prefetch,
            )
            for channel in self._channels()
            for consumer in channel.consumers.values()
        ]

    def list_connections(self) -> list[ConnectionListing]:
        """Every connection, in order of arrival."""
        return [
            ConnectionListing(
                number=one.number,
                state="blocked" if one.blocked else one.state,
                user=one.user,
                vhost=one.vhost_name,
                channels=len(one.channels),
                received_bytes=one.received_bytes,
            )
            for one in self._broker.connections.values()
        ]

    def list_channels(self) -> list[ChannelListing]:
        """Every open channel, in order of connections."""
        return [
            ChannelListing(
                connection=channel.connection.number,
                number=channel.number,
                consumers=len(channel.consumers),
                messages_unacknowledged=channel.unacked,
                messages_unconfirmed=channel.unconfirmed,
                prefetch=channel.prefetch,
                global_prefetch=channel.limiter.limit,
                mode=channel.mode,
            )
            for channel in self._channels()
        ]

    def _channels(self) -> Iterator[Channel]:
        for connection in self._broker.connections.values():
            yield from connection.channels.values()

    def _queue(self, name: str, vhost: str) -> Queue:
        found = self._broker.vhosts[vhost].queues.get(name)
        if found is None:
            raise no_queue(name, vhost)
        return found

    def _finish(self) -> None:
        self._broker.finish()
        self._done()
