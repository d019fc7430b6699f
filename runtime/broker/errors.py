"""What goes wrong, in RabbitMQ's own codes and texts (AMQP 0-9-1, 1.2; RabbitMQ 3.10.8).

A soft error closes the channel, a hard one the connection. Clients match on codes and people on
texts, so both are part of the protocol and of the conformance scripts.
"""

from typing import final

_NAMES = {
    311: "CONTENT_TOO_LARGE",
    320: "CONNECTION_FORCED",
    403: "ACCESS_REFUSED",
    404: "NOT_FOUND",
    405: "RESOURCE_LOCKED",
    406: "PRECONDITION_FAILED",
    501: "FRAME_ERROR",
    502: "SYNTAX_ERROR",
    503: "COMMAND_INVALID",
    504: "CHANNEL_ERROR",
    505: "UNEXPECTED_FRAME",
    506: "RESOURCE_ERROR",
    530: "NOT_ALLOWED",
    540: "NOT_IMPLEMENTED",
    541: "INTERNAL_ERROR",
}
_SOFT = frozenset((311, 403, 404, 405, 406))

ACCESS_REFUSED = 403
NOT_FOUND = 404
RESOURCE_LOCKED = 405
PRECONDITION_FAILED = 406
FRAME_ERROR = 501
SYNTAX_ERROR = 502
COMMAND_INVALID = 503
CHANNEL_ERROR = 504
UNEXPECTED_FRAME = 505
NOT_ALLOWED = 530
NOT_IMPLEMENTED = 540
CONNECTION_FORCED = 320

_TEXT_MAX = 255


@final
class BrokerError(Exception):
    """The peer asked for something that closes its channel or connection.

    ``text`` is what goes on the wire, code name included; ``method`` is the index (class id in the
    high, method id in the low 16 bits) of the method to blame, 0 where no method was.
    """

    def __init__(self, code: int, text: str, method: int | None = None) -> None:
        full = f"{_NAMES[code]} - {text}"
        super().__init__(full)
        self.code = code
        self.text = full if len(full.encode()) <= _TEXT_MAX else clipped(full)
        self.method = method

    @property
    def closes_connection(self) -> bool:
        """Whether it is a hard error."""
        return self.code not in _SOFT


@final
class HangUp(Exception):
    """RabbitMQ drops the connection without a word here (its reader crashes)."""


def clipped(text: str) -> str:
    """Shorten to a short string the way RabbitMQ does, with an ellipsis.

    >>> len(clipped("x" * 300)), clipped("x" * 300)[-4:]
    (255, 'x...')
    """
    return text.encode()[: _TEXT_MAX - 3].decode(errors="ignore") + "..."


def no_queue(name: str, vhost: str) -> BrokerError:
    """404 for a queue."""
    return BrokerError(NOT_FOUND, f"no queue '{name}' in vhost '{vhost}'")


def no_exchange(name: str, vhost: str) -> BrokerError:
    """404 for an exchange."""
    return BrokerError(NOT_FOUND, f"no exchange '{name}' in vhost '{vhost}'")


def locked_queue(name: str, vhost: str) -> BrokerError:
    """405: the queue is exclusive to another connection, or was not declared exclusive."""
    return BrokerError(
        RESOURCE_LOCKED,
        f"cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be "
        "originally declared on another connection or the exclusive property value does not match "
        "that of the original declaration.",
    )


def reserved_name(kind: str, name: str) -> BrokerError:
    """403 for a name that only the broker may give."""
    return BrokerError(ACCESS_REFUSED, f"{kind} name '{name}' contains reserved prefix 'amq.*'")


def default_exchange_untouchable() -> BrokerError:
    """403: the exchange without a name cannot be declared, deleted or bound."""
    return BrokerError(ACCESS_REFUSED, "operation not permitted on the default exchange")
