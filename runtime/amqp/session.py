"""One live connection to the broker: it is used until it is lost, and never comes back.

Its law: once `Session.lost` is set nothing more leaves through this session, and every bounded call
on it has ended or is about to. A new session has a new epoch; what an old one delivered can only be
settled on the old one, so a late settle does nothing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import anyio
import pamqp.frame
from aiormq import spec
from aiormq.abc import AbstractConnection
from aiormq.channel import Channel
from aiormq.connection import Connection, FrameReceiver, exception_by_code
from aiormq.exceptions import (
    AMQPConnectionError,
    AuthenticationError,
    ConnectionClosed,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from pamqp.base import Frame
from yarl import URL

from runtime.amqp.address import Address
from runtime.amqp.awaiting import bounded, detach, finish
from runtime.amqp.frames import FRAME_MAX
from runtime.amqp.transport import Transport
from runtime.errors import BrokerLost, BrokerRefuses, DeadlineExceeded

OPEN_S_MAX = 5.0
CLOSE_S_MAX = 2.0
FRAME_MIN = 4096  # AMQP 0-9-1, 4.2.3: whatever is agreed on, frames of this size pass

T = TypeVar("T")
C = TypeVar("C", bound=Channel)


class Session:
    """A connection that is open, or was. ``lost`` is set when it ends, however it ends.

    ``blocked`` is the broker's reason to take no messages now (an alarm of its memory or disk),
    empty while it takes them; ``on_blocked`` is called when that changes.
    """

    def __init__(self, connection: Connection, transport: Transport, epoch: int) -> None:
        self.epoch = epoch
        self.lost = anyio.Event()
        self.reason = ""
        self.poisoned = False
        self._closings: dict[asyncio.Task[None], None] = {}
        self._connection = connection
        self._transport = transport
        self._closing = connection.closing
        self._closing.add_done_callback(lambda _: self._ended())

    @property
    def blocked(self) -> str:
        """See the class."""
        return "" if self._transport.reader is None else self._transport.reader.blocked

    def on_blocked(self, call: Callable[[], None]) -> None:
        """See the class."""
        if self._transport.reader is not None:
            self._transport.reader.on_blocked = call

    async def channel(
        self, kind: Callable[[AbstractConnection, int], C], *, within_s: float = OPEN_S_MAX
    ) -> C:
        """Open a channel of this kind (see `plain`); `BrokerLost` or `DeadlineExceeded` if not."""
        if self.lost.is_set():
            raise BrokerLost(f"open a channel: {self.reason}")
        opened: C = kind(self._connection, self._free_number())
        self._connection.channels[opened.number] = opened
        if self._transport.reader is not None:
            self._transport.reader.serve(opened.number, opened)
        await self.call(opened.open(), "open a channel", within_s=within_s)
        return opened

    async def call(
        self, call: Coroutine[Any, Any, T], what: str, *, within_s: float = OPEN_S_MAX
    ) -> T:
        """Await one call on one of this session's channels, bounded.

        A call without an answer costs the session: its channel is then in a state that nobody
        knows, and the next one would be opened under the same number while the broker still has it.
        """
        try:
            return await bounded(call, within_s, what)
        except DeadlineExceeded as error:
            self.abandon(str(error))
            raise

    async def end(self, channel: Channel) -> None:
        """Close a channel; wait for that at most two seconds, and no longer once cancelled.

        The closing goes on by itself: a channel that nobody closes keeps its consumer, and that
        one's messages. It must not be cut short: aiormq answers a cancelled close with a second
        Channel.Close (channel.py, ``rpc``), which is an error of the whole connection (504) if the
        broker has carried out the first. One that is not answered costs the session, like any call.
        """
        closing = detach(self._close(channel), None)
        self._closings[closing] = None
        closing.add_done_callback(lambda ended: self._closings.pop(ended, None))
        await asyncio.wait([closing], timeout=CLOSE_S_MAX)

    async def _close(self, channel: Channel) -> None:
        await self.call(channel.close(), "close a channel", within_s=OPEN_S_MAX)

    def abandon(self, reason: str) -> None:
        """Cut the connection now: what was not sent never will be, and ``lost`` is set."""
        self._lose(reason)
        self._cut()
        detach(self._connection.close(), CLOSE_S_MAX)

    async def close(self) -> None:
        """Say goodbye to the broker, for at most two seconds, then cut."""
        self._lose("closed by us")
        try:
            await finish(self._connection.close(), CLOSE_S_MAX)
        finally:
            self._cut()

    def _cut(self) -> None:
        """Cut the connection; nobody can answer any more that a channel is closed."""
        self._transport.abort()
        for closing in [one for one in self._closings if one is not asyncio.current_task()]:
            closing.cancel()

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
        self._lose(_told(cause))

    def _lose(self, reason: str) -> None:
        if not self.lost.is_set():
            self.reason = reason
            self.lost.set()


def plain(connection: AbstractConnection, number: int) -> Channel:
    """Make a channel for calls (declare, purge, count); it neither publishes nor consumes."""
    return Channel(connection, number, publisher_confirms=False)


async def connect(address: Address, heartbeat_s: int, name: str, epoch: int) -> Session:
    """Open a connection within five seconds, handshake included.

    Raises `BrokerLost` or `DeadlineExceeded` if there is no broker, `BrokerRefuses` if it has
    something against us.
    """
    transport = Transport(address.tls())
    connection = _Connection(address.dial(heartbeat_s, name), transport_factory=transport)
    try:
        await bounded(connection.connect(), OPEN_S_MAX, f"connect to {address}")
        _check_abilities(connection, address)
    except BrokerLost as error:
        transport.abort()
        raise _refusal(error.__cause__, address) or error from error.__cause__
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

    @staticmethod
    async def _rpc(
        request: Frame,
        writer: asyncio.StreamWriter,
        frame_receiver: FrameReceiver,
        wait_response: bool = True,
    ) -> Any:
        """Ask during the handshake. Theirs looks at Close last, and loses what the broker says."""
        writer.write(pamqp.frame.marshal(request, 0))
        await writer.drain()
        if not wait_response:
            return None
        answer = (await frame_receiver.get_frame())[2]
        match answer:
            case spec.Connection.Close(reply_code=403):
                raise ProbableAuthenticationError(answer.reply_text)
            case spec.Connection.Close():
                raise exception_by_code(answer)
            case spec.Connection.Tune():
                _agree(answer)
        if request.synchronous and answer.name not in request.valid_responses:
            raise InvalidFrameError(f"expected {request.valid_responses}, got {answer.name}")
        return answer


def _agree(offer: spec.Connection.Tune) -> None:
    """Take the offer's size of frames, within our limits; zero offers any size."""
    offer.frame_max = min(offer.frame_max or FRAME_MAX, FRAME_MAX)
    if offer.frame_max < FRAME_MIN:
        raise AMQPConnectionError(f"the broker allows frames of {offer.frame_max} bytes only")


def _refusal(cause: BaseException | None, address: Address) -> BrokerRefuses | None:
    match cause:
        case ProbableAuthenticationError() | AuthenticationError():
            return BrokerRefuses(
                "account",
                f"connect to {address}: the broker refused the user name or password",
                hint="check broker.url and the account's permissions",
            )
        case ConnectionNotAllowed():
            return BrokerRefuses(
                "virtual host",
                f"connect to {address}: the broker refused the virtual host ({cause})",
                hint="create it (rabbitmqctl add_vhost), give the account permissions on it, or "
                "correct the end of broker.url",
            )
    return None


def _check_abilities(connection: Connection, address: Address) -> None:
    offered = connection.server_properties.get("capabilities")
    if not (isinstance(offered, dict) and offered.get("publisher_confirms")):
        raise BrokerRefuses(
            "confirms",
            f"the broker at {address} does not confirm what is published",
            hint="use one that knows publisher confirms, such as RabbitMQ",
        )


def _told(cause: BaseException | None) -> str:
    """Say in plain words why a connection ended."""
    match cause:
        case None | asyncio.CancelledError():
            # aiormq's watch on the heartbeats cancels its reader.
            return "no sign of life from the broker, not even a heartbeat"
        case ConnectionClosed():
            return f"the broker closed the connection: {' '.join(map(str, cause.args))}"
    return f"{type(cause).__name__}: {str(cause)[:200]}"
