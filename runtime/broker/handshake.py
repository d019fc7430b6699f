"""How a client gets in: greeting, login, limits, virtual host (AMQP 0-9-1, 2.2.4).

One function a step; `protocol` says in which state each is welcome.
"""

import hmac
from typing import TYPE_CHECKING

from pamqp import commands
from pamqp.common import FieldTable

from runtime.broker import tables, wire
from runtime.broker.errors import NOT_ALLOWED, BrokerError

if TYPE_CHECKING:
    from runtime.broker.protocol import Connection

CHANNELS_MAX = 2047
HEARTBEAT_S = 60
_CAPABILITIES = {
    "publisher_confirms": True,
    "exchange_exchange_bindings": True,
    "basic.nack": True,
    "consumer_cancel_notify": True,
    "connection.blocked": True,
    "consumer_priorities": True,
    "authentication_failure_close": True,
    "per_consumer_qos": True,
    "direct_reply_to": False,
}


def start(connection: "Connection") -> None:
    """Say who we are and what we can do."""
    properties: FieldTable = {
        "product": "ordermill",
        "version": connection.broker.version,
        "platform": "Python",
        "capabilities": dict(_CAPABILITIES),
    }
    method = commands.Connection.Start(0, 9, properties, "PLAIN AMQPLAIN", "en_US")
    connection.send(wire.method(0, method))


def start_ok(connection: "Connection", method: commands.Connection.StartOk) -> None:
    """Check the login."""
    properties = method.client_properties or {}
    capabilities = properties.get("capabilities")
    known = capabilities if isinstance(capabilities, dict) else {}
    connection.wants_cancels = known.get("consumer_cancel_notify") is True
    connection.wants_blocks = known.get("connection.blocked") is True
    user, password = _credentials(method.mechanism, method.response)
    expected = connection.broker.users.get(user)
    right = hmac.compare_digest((expected or "").encode(), password.encode())
    if expected is not None and right:
        connection.user = user
        connection.send(wire.method(0, commands.Connection.Tune(
            CHANNELS_MAX, wire.FRAME_SIZE_MAX, HEARTBEAT_S)))  # fmt: skip
        return
    if known.get("authentication_failure_close") is True:
        reason = f"Login was refused using authentication mechanism {method.mechanism}. "
        refusal = f"ACCESS_REFUSED - {reason}For details see the broker logfile."
        connection.send(wire.method(0, commands.Connection.Close(403, refusal, 0, 0)))
    connection.end("close")


def tune_ok(connection: "Connection", method: commands.Connection.TuneOk) -> None:
    """Agree on limits: the client may lower ours, not raise or lift them."""
    size = method.frame_max
    if 0 < size < wire.FRAME_SIZE_MIN:
        text = f"negotiated frame_max = {size} is lower than the minimum allowed value"
        raise BrokerError(NOT_ALLOWED, f"{text} ({wire.FRAME_SIZE_MIN})", method.index)
    _check_limit("frame_max", size, wire.FRAME_SIZE_MAX)
    _check_limit("channel_max", method.channel_max, CHANNELS_MAX)
    connection.frame_size_max = connection.splitter.size_max = size
    connection.channels_max = method.channel_max
    connection.heartbeat_s = method.heartbeat
    connection.broker.start_heartbeat(connection)


def _check_limit(name: str, value: int, limit: int) -> None:
    if value == 0 or value > limit:
        lifted = " (no limit)" if value == 0 else ""
        text = f"negotiated {name} = {value}{lifted} is higher than the maximum allowed value"
        raise BrokerError(NOT_ALLOWED, f"{text} ({limit})", commands.Connection.TuneOk.index)


def open_vhost(connection: "Connection", method: commands.Connection.Open) -> None:
    """Enter a virtual host."""
    if method.virtual_host not in connection.broker.vhosts:
        text = f"vhost {method.virtual_host} not found"
        raise BrokerError(NOT_ALLOWED, text, method.index)
    connection.vhost_name = method.virtual_host
    connection.send(wire.method(0, commands.Connection.OpenOk()))


def update_secret(connection: "Connection", method: commands.Connection.UpdateSecret) -> None:
    """Passwords do not expire here: a new one is heard and not needed, as in RabbitMQ."""
    connection.send(wire.method(0, commands.Connection.UpdateSecretOk()))


def _credentials(mechanism: str, response: str | bytes) -> tuple[str, str]:
    """User and password from PLAIN (RFC 4616) or RabbitMQ's AMQPLAIN; empty if unreadable."""
    raw = response.encode() if isinstance(response, str) else bytes(response)
    if mechanism == "PLAIN":
        _, user, password = (*raw.split(b"\0"), b"", b"", b"")[:3]
        return user.decode(errors="replace"), password.decode(errors="replace")
    if mechanism == "AMQPLAIN":
        fields = tables.entries(raw)
        return tables.string(fields.get("LOGIN", b"")), tables.string(fields.get("PASSWORD", b""))
    return "", ""
