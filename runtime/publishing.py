"""What a sender needs of a broker, as a port: one way out, and it always waits for the confirm.

There is no other publish: every message is persistent, mandatory and confirmed. Returning normally
means that the broker has it in a queue; every exception leaves the outcome unknown or negative, and
the same bytes may be sent again, because receivers deduplicate by ``message_id``.
"""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from runtime.message import Message


class Outgoing(msgspec.Struct, frozen=True):
    """One message and where it goes."""

    exchange: str
    routing_key: str
    message: Message


class Publisher(Protocol):
    """Publishes with confirms. Never two of one ``message_id`` in flight at once: see `Relay`."""

    async def publish(self, exchange: str, routing_key: str, message: Message) -> None:
        """Return once the broker has confirmed the message without returning it.

        Raises `PublishRefused` (nack, or no queue took it), `BrokerLost` or `DeadlineExceeded`
        (both: the outcome is unknown).
        """
        ...

    async def publish_batch(self, batch: Sequence[Outgoing]) -> list[Exception | None]:
        """Publish pipelined, in order; return one outcome for each: None, or why it failed.

        The exceptions are those of `publish`. A broker that is down is an outcome of every
        message, not an exception of the call.
        """
        ...
