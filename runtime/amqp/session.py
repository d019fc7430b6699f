"""One live connection to the broker: it is used until it is lost, and never comes back.

Its law: once `Session.lost` is set nothing more leaves through this session, and every bounded call
on it has ended or is about to. A new session has a new epoch; what an old one delivered can only be
settled on the old one, so a late settle does nothing.
"""

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
from aiormq.abc import AbstractConnection
from aiormq.channel import Channel
from aiormq.connection import Connection
from aiormq.exceptions import AMQPConnectionError, InvalidFrameError
from yarl import URL

from runtime.amqp.address import Address
from runtime.amqp.awaiting import bounded, detach, finish
from runtime.amqp.transport import Transport
from runtime.errors import BrokerLost, ConfigurationError

OPEN_S_MAX = 5.0
CLOSE_S_MAX = 2.0

T = TypeVar("T")
C = TypeVar("C", bound=Channel)


class Session:
    """A connection that is open, or was. ``lost`` is set when it ends, however it ends."""

    def __init__(self, connection: Connection, transport: Transport, epoch: int) -> None:
        self.epoch = epoch
        self.lost = anyio.Event()
        self.reason = ""
        self.poisoned = False
        self._connection = connection
        self._transport = transport
        self._closing = connection.closing
        self._closing.add_done_callback(lambda _: self._ended())

    async def channel(
        self, kind: Callable[[AbstractConnection, int], C], *, within_s: float = OPEN_S_MAX
    ) -> C:
        """Open a channel of this kind (see `plain`); `BrokerLost` or `DeadlineExceeded` if not."""
        if self.lost.is_set():
            raise BrokerLost(f"open a channel: {self.reason}")
        opened: C = kind(self._connection, self._free_number())
        self._connection.channels[opened.number] = opened
        await self.call(opened.open(), "open a channel", within_s=within_s)
        return opened

    async def call(
        self, call: Coroutine[Any, Any, T], what: str, *, within_s: float = OPEN_S_MAX
    ) -> T:
        """Await one call on one of this session's channels, bounded."""
        return await bounded(call, within_s, what)

    def abandon(self, reason: str) -> None:
        """Cut the connection now: what was not sent never will be, and ``lost`` is set."""
        self._lose(reason)
        self._transport.abort()
        detach(self._connection.close(), CLOSE_S_MAX)

    async def close(self) -> None:
        """Say goodbye to the broker, for at most two seconds, then cut."""
        self._lose("closed by us")
        try:
            await finish(self._connection.close(), CLOSE_S_MAX)
        finally:
            self._transport.abort()

    def _free_number(self) -> int:
        number = 1
        while number in self._connection.channels:
            number += 1
        return number

    def _ended(self) -> None:
        cause = None if self._closing.cancelled() else self._closing.exception()
        # The end of a socket or a goodbye of the broker is ordinary. Any other exception was
        # raised while a frame was decoded: some message breaks the connection that receives it.
        self.poisoned = isinstance(cause, Exception) and not isinstance(cause, AMQPConnectionError)
        self._lose(type(cause).__name__ if cause is not None else "closed")

    def _lose(self, reason: str) -> None:
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()


def plain(connection: AbstractConnection, number: int) -> Channel:
    """Make a channel for calls (declare, purge, count); it neither publishes nor consumes."""
    return Channel(connection, number, publisher_confirms=False)


async def connect(address: Address, heartbeat_s: int, name: str, epoch: int) -> Session:
    """Open a connection within five seconds, handshake included.

    Raises `BrokerLost` or `DeadlineExceeded` if there is no broker, `ConfigurationError` if it
    refuses us.
    """
    transport = Transport(address.tls())
    connection = _Connection(address.dial(heartbeat_s, name), transport_factory=transport)
    try:
        await bounded(connection.connect(), OPEN_S_MAX, f"connect to {address}")
    except BrokerLost as error:
        transport.abort()
        # aiormq checks for Open-Ok before it looks at Close, so the broker's own text is lost.
        if isinstance(error.__cause__, InvalidFrameError) and "OpenOk" in str(error.__cause__):
            raise ConfigurationError(
                f"the broker refused the virtual host of {address}",
                hint="create it (rabbitmqctl add_vhost) or correct the end of broker.url",
            ) from error
        raise
    except BaseException:
        transport.abort()
        raise
    return Session(connection, transport, epoch)


class _Connection(Connection):
    # Zero is "no limit": the publisher's window and the consumer's prefetch bound what is queued,
    # and a full queue would make a settle wait.
    FRAME_BUFFER_SIZE = 0

    def __init__(self, url: URL, *, transport_factory: Transport) -> None:
        super().__init__(url, transport_factory=transport_factory)
