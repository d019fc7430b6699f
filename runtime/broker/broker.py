"""The broker as one object without I/O: connections, timers, and what waits for the journal.

    connection = broker.connect()
    broker.receive(connection, data); broker.disconnected(connection)
    for connection in broker.take_changed(): send connection.take_output(); look at .ending
    broker.run_timers()                         # at broker.next_timer(), on the same clock
    batch = broker.take_records(); ...write it in one transaction...; broker.committed(batch.mark)

Same calls, same clock, same tokens: same bytes. Nothing is iterated in the order of an address.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import Literal

import msgspec

from runtime.broker.channel import Channel
from runtime.broker.errors import PRECONDITION_FAILED, BrokerError
from runtime.broker.protocol import Connection
from runtime.broker.queue import QueueStatistics
from runtime.broker.records import Batch, Recorder
from runtime.broker.timers import Clock, Timers
from runtime.broker.vhost import VirtualHost

HANDSHAKE_S_MAX = 10.0
CLOSE_S_MAX = 10.0
CONSUMER_TIMEOUT_S = 1800.0  # RabbitMQ's consumer_timeout


Resource = Literal["memory", "disk"]


class BrokerStatistics(msgspec.Struct, frozen=True):
    """Counts of the whole broker; ``uncommitted`` records are noted and not yet on disk."""

    connections: int
    channels: int
    uncommitted: int
    queues: list[QueueStatistics]


class Broker:
    """All state of one broker."""

    def __init__(
        self,
        clock: Clock,
        *,
        users: Mapping[str, str],
        token: Callable[[], str],
        journalled: bool = False,
        vhosts: Sequence[str] = ("/",),
        version: str = "0",
        consumer_timeout_s: float = CONSUMER_TIMEOUT_S,
    ) -> None:
        """``token`` makes unique names for queues and consumers without one.

        A channel is closed when its client keeps a delivery for ``consumer_timeout_s``.
        """
        self.users = dict(users)
        self.token = token
        self.version = version
        self.recorder = Recorder(enabled=journalled)
        self.connections: dict[int, Connection] = {}
        self._clock = clock
        self._last_number = 0
        self._connection_numbers = count(1)
        self.timers = Timers(clock)
        self._changed: dict[Connection, None] = {}
        self._confirming: dict[Channel, None] = {}
        self._waiting: deque[tuple[int, Channel, int]] = deque()
        self._consumer_timeout_s = consumer_timeout_s
        self._unsettled: dict[VirtualHost, None] = {}
        self.alarms: dict[Resource, None] = {}
        self.vhosts: dict[str, VirtualHost] = {}
        for name in vhosts:
            self.vhost(name)

    def now(self) -> float:
        """Monotonic seconds."""
        return self._clock.monotonic()

    def wall(self) -> float:
        """Seconds since the epoch."""
        return self._clock.wall()

    def vhost(self, name: str) -> VirtualHost:
        """The virtual host of this name; made if it is new."""
        if name not in self.vhosts:
            self.vhosts[name] = VirtualHost(
                name, self._clock, self.timers, self.recorder, self.next_number, self._unsettled
            )
        return self.vhosts[name]

    def next_number(self) -> int:
        """The next position or queue number."""
        self._last_number += 1
        return self._last_number

    def start_numbers_after(self, number: int) -> None:
        """Never give a number up to this one again (the journal knows them)."""
        self._last_number = max(self._last_number, number)

    # -- connections ------------------------------------------------------------------------------

    def connect(self) -> Connection:
        """A client has connected; it must have logged in within `HANDSHAKE_S_MAX`."""
        connection = Connection(self, next(self._connection_numbers))
        self.connections[connection.number] = connection

        def give_up() -> None:
            if connection.state not in ("running", "closing", "closed"):
                connection.end("abort")

        self.timers.at(self.now() + HANDSHAKE_S_MAX, give_up)
        return connection

    def receive(self, connection: Connection, data: bytes) -> None:
        """Bytes have come from the client."""
        if not connection.ending:
            connection.receive(data)
        self.finish()

    def disconnected(self, connection: Connection) -> None:
        """The transport is gone."""
        connection.end("abort")
        self.connections.pop(connection.number, None)
        self._changed.pop(connection, None)
        self.finish()

    def pause(self, connection: Connection) -> None:
        """The transport can take no more for now: deliver nothing to this connection."""
        connection.paused = True

    def resume(self, connection: Connection) -> None:
        """The transport has room again."""
        connection.paused = False
        self.serve(connection)

    def serve(self, connection: Connection) -> None:
        """Deliver what had to wait while the connection's buffer was full."""
        if connection.starved and connection.has_room():
            connection.starved = False
            for channel in list(connection.channels.values()):
                for queue in [consumer.queue for consumer in channel.consumers.values()]:
                    queue.has_room(channel)
            self.settle()

    def take_changed(self) -> list[Connection]:
        """The connections that have output or have come to an end, in order of their change."""
        changed, self._changed = self._changed, {}
        return list(changed)

    def drop_exclusive_queues(self, owner: Connection) -> None:
        """Delete the queues that belong to this connection."""
        for vhost in self.vhosts.values():
            for queue in [queue for queue in vhost.queues.values() if queue.owner is owner]:
                vhost.drop_queue(queue)

    def has_output(self, connection: Connection) -> None:
        """The connection wants to be looked at."""
        self._changed[connection] = None

    def finish(self) -> None:
        """Do what is left of a turn: what the last frame has caused, and the confirms."""
        self.settle()
        self._flush_confirms()

    def settle(self) -> None:
        """Finish what the last frame has caused: dead letters, consumers of deleted queues."""
        while self._unsettled:
            unsettled = list(self._unsettled)
            self._unsettled.clear()
            for vhost in unsettled:
                vhost.settle()

    def statistics(self) -> BrokerStatistics:
        """What the broker holds now."""
        return BrokerStatistics(
            connections=len(self.connections),
            channels=sum(len(one.channels) for one in self.connections.values()),
            uncommitted=self.recorder.mark - self.recorder.committed,
            queues=[queue for vhost in self.vhosts.values() for queue in vhost.statistics()],
        )

    def raise_alarm(self, resource: Resource) -> None:
        """The broker is low on something: whoever publishes from now on is blocked."""
        self.alarms[resource] = None

    def clear_alarm(self, resource: Resource) -> None:
        """There is enough of it again."""
        self.alarms.pop(resource, None)
        if not self.alarms:
            for connection in list(self.connections.values()):
                connection.unblock()
            self.finish()

    # -- time -------------------------------------------------------------------------------------

    def next_timer(self) -> float | None:
        """When `run_timers` has something to do."""
        return self.timers.next()

    def run_timers(self) -> None:
        """Do everything that is due."""
        while self.timers.run_one():
            self.settle()
        self._flush_confirms()

    def start_heartbeat(self, connection: Connection) -> None:
        """Send heartbeats, and give a client up that is silent for two intervals."""
        interval = connection.heartbeat_s
        if not interval:
            return

        def beat() -> None:
            if connection.state == "closed":
                return
            silent_s = 0.0 if connection.blocked else self.now() - connection.received_at
            if silent_s > 2 * interval:
                connection.end("abort")
                return
            if self.now() - connection.sent_at >= interval / 2:
                connection.send_heartbeat()
            self.timers.at(self.now() + interval / 2, beat)

        self.timers.at(self.now() + interval / 2, beat)

    def watch_deliveries(self, channel: Channel) -> None:
        """Close a channel whose client keeps a delivery for too long (406)."""
        timeout_s = self._consumer_timeout_s

        def look() -> None:
            delivered_at = channel.oldest_delivered_at()
            if channel.closing or delivered_at is None:
                return
            if self.now() < delivered_at + timeout_s:
                self.timers.at(delivered_at + timeout_s, look)
                return
            text = f"delivery acknowledgement on channel {channel.number} timed out. "
            text += f"Timeout value used: {timeout_s * 1000:.0f} ms. "
            text += "This timeout value can be configured, see consumers doc guide to learn more"
            channel.connection.fail_channel(channel, BrokerError(PRECONDITION_FAILED, text, 0))

        self.timers.at(self.now() + timeout_s, look)

    def await_close(self, connection: Connection) -> None:
        """Drop a client that does not answer our connection.close."""
        self.timers.at(self.now() + CLOSE_S_MAX, lambda: connection.end("abort"))

    # -- journal ----------------------------------------------------------------------------------

    def take_records(self) -> Batch | None:
        """What to write next, in one transaction; None if there is nothing."""
        return self.recorder.take() if self.recorder.waiting else None

    def committed(self, mark: int) -> None:
        """Everything up to this mark is on disk: confirm it, send the answers that waited."""
        self.recorder.committed = mark
        while self._waiting and self._waiting[0][0] <= mark:
            _, channel, number = self._waiting.popleft()
            if number:
                channel.confirm(number, positive=True)
            else:
                channel.let_go()
        self._flush_confirms()

    def wait_for_journal(self, channel: Channel, number: int) -> None:
        """Confirm publish ``number`` (0: let the answers go) once the journal has come this far."""
        self._waiting.append((self.recorder.mark, channel, number))

    def has_confirms(self, channel: Channel) -> None:
        """The channel has confirms to send at the end of this turn."""
        self._confirming[channel] = None

    def _flush_confirms(self) -> None:
        if self._confirming:
            confirming, self._confirming = self._confirming, {}
            for channel in confirming:
                channel.flush_confirms()
