"""What travels through the lanes of a service, and how a message finds its handler.

Its law: reading a message never raises. What is wrong with it becomes the job's ``problem``, and
ends the way the table in `runtime.outcomes` says.
"""

from collections.abc import Awaitable, Callable, Mapping

import msgspec

from runtime.amqp.consumer import Delivery
from runtime.errors import Unprocessable
from runtime.inbox import Claim
from runtime.message import Message, MessageType
from runtime.transaction import Transaction


class Route(msgspec.Struct, frozen=True):
    """What is done with one type of message (version 1): ``handle`` it, ``hold_s`` after arrival.

    The handler may run again for the same message; `Claim.completed` says what it has done, and
    how it ends decides what becomes of the message (`runtime.outcomes`). ``begin(tx, message,
    now_ms)`` notes in the transaction of the claim what the handler has to note first; what it
    returns is `Claim.begun`. It must not refuse anything.
    """

    handle: Callable[[Message, Claim], Awaitable[None]]
    hold_s: float = 0.0
    begin: Callable[[Transaction, Message, int], object] | None = None


class Job(msgspec.Struct, frozen=True):
    """One message in its lane. Without a ``delivery`` it comes from the hold."""

    key: str
    message: Message
    delivery: Delivery | None
    route: Route | None = None
    problem: Exception | None = None


class Told(msgspec.Struct, frozen=True):
    """A piece of the service's own work, in the lane of its key."""

    key: str
    work: Callable[[], Awaitable[None]]


class Routes:
    """The handlers of one queue by the message type's name; ``key`` names a message's lane."""

    def __init__(
        self, queue: str, routes: Mapping[str, Route], key: Callable[[Message], str]
    ) -> None:
        self._queue = queue
        self._routes = routes
        self._key = key

    def job(self, message: Message, delivery: Delivery | None) -> Job:
        """Read a message that was delivered, or that the hold tells (without ``delivery``)."""
        try:
            if delivery is not None and delivery.problem is not None:
                raise delivery.problem
            route = self._route(MessageType.parse(message.type))
            return Job(self._key(message), message, delivery, route)
        except Exception as error:
            return Job(message.message_id, message, delivery, problem=error)

    def _route(self, kind: MessageType) -> Route:
        route = self._routes.get(kind.name)
        if route is None:
            raise Unprocessable("unknown-type", f"{self._queue} has no handler for {kind}")
        if kind.version != 1:
            raise Unprocessable("unknown-version", f"{kind} is newer than this program")
        return route
