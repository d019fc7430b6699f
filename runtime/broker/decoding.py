"""Methods on their way in (AMQP 0-9-1, 4.2.4). The hot ones are read by hand, the rest by pamqp.

Every method must be exactly as long as its fields, as RabbitMQ's parser has it.
"""

import struct
from collections.abc import Mapping

from pamqp import commands
from pamqp.base import Frame

from runtime.broker.errors import FRAME_ERROR, SYNTAX_ERROR, BrokerError, HangUp
from runtime.broker.wire import METHOD, bad_frame

PUBLISH_INDEX = commands.Basic.Publish.index
ACK_INDEX = commands.Basic.Ack.index
_ACCESS_REQUEST_INDEX = 0x001E000A
_METHODS: Mapping[int, type[Frame]] = commands.INDEX_MAPPING
_INDEX = struct.Struct(">I")
_TAG_AND_BIT = struct.Struct(">QB")
_ACK_SIZE = _INDEX.size + _TAG_AND_BIT.size
_SIZES = {"octet": 1, "short": 2, "long": 4, "longlong": 8}


def index_of(payload: bytes) -> int:
    """The class and method of a method frame, as one number."""
    if len(payload) < _INDEX.size:
        raise bad_frame(METHOD, payload, "unknown_frame")
    index: int = _INDEX.unpack_from(payload)[0]
    return index


def decoded(index: int, payload: bytes) -> Frame:
    """Decode a method. HangUp for an unknown one: RabbitMQ drops the connection, too."""
    kind = _METHODS.get(index)
    if kind is None:
        raise HangUp
    if _end_of_fields(kind, payload) != len(payload):
        raise _undecodable(index, payload)
    method = kind.__new__(kind)  # its fields come from the wire, not from a constructor
    try:
        method.unmarshal(payload[_INDEX.size :])
    except (ValueError, IndexError, struct.error) as error:
        # Well-formed, but no text, or no table: RabbitMQ looks at these later.
        raise BrokerError(SYNTAX_ERROR, f"malformed field in {kind.name}", index) from error
    return method


def _undecodable(index: int, payload: bytes) -> BrokerError:
    octets = ",".join(map(str, payload[_INDEX.size :]))
    return BrokerError(FRAME_ERROR, f"cannot decode <<{octets}>>", index)


def _end_of_fields(kind: type[Frame], payload: bytes) -> int:
    """Where the fields of a method end, by their sizes; -1 if they are cut off."""
    position, bits = _INDEX.size, 0
    for field in kind.attributes():
        of = kind.amqp_type(field)
        # Bits in a row share octets.
        if of == "bit":
            position += bits % 8 == 0
            bits += 1
            continue
        bits = 0
        size = _SIZES.get(of)
        if size is None:
            length = 1 if of == "shortstr" else 4
            raw = payload[position : position + length]
            size = length + int.from_bytes(raw, "big")
        position += size
        if position > len(payload):
            return -1
    return position


def access_requested(index: int, payload: bytes) -> bool:
    """Whether this is an access.request (AMQP 0-9), which pamqp does not know."""
    if index != _ACCESS_REQUEST_INDEX:
        return False
    if len(payload) < 6 or len(payload) != 6 + payload[4]:
        raise _undecodable(index, payload)
    return True


# Where a method's argument table starts: after a ticket, so many short strings and so many octets.
_BEFORE_ARGUMENTS = {
    commands.Exchange.Declare.index: (2, 1),
    commands.Exchange.Bind.index: (3, 1),
    commands.Exchange.Unbind.index: (3, 1),
    commands.Queue.Declare.index: (1, 1),
    commands.Queue.Bind.index: (3, 1),
    commands.Queue.Unbind.index: (3, 0),
    commands.Basic.Consume.index: (2, 1),
}


def argument_table(index: int, payload: bytes) -> bytes:
    """The encoded argument table of a method that `decoded` has accepted; empty without one."""
    layout = _BEFORE_ARGUMENTS.get(index)
    if layout is None:
        return b""
    strings, octets = layout
    position = _INDEX.size + 2
    for _ in range(strings):
        position += 1 + payload[position]
    position += octets
    size = int(_INDEX.unpack_from(payload, position)[0])
    return payload[position + 4 : position + 4 + size]


def decoded_publish(payload: bytes) -> tuple[str, str, int]:
    """Exchange, routing key and bits (1 mandatory, 2 immediate) of a basic.publish."""
    try:
        end = 7 + payload[6]
        exchange = payload[7:end].decode()
        start = end + 1
        end = start + payload[end]
        key, bits = payload[start:end].decode(), payload[end]
    except IndexError:
        raise _undecodable(PUBLISH_INDEX, payload) from None
    except UnicodeDecodeError as error:
        raise BrokerError(SYNTAX_ERROR, "a name is no text", PUBLISH_INDEX) from error
    if end + 1 != len(payload):
        raise _undecodable(PUBLISH_INDEX, payload)
    return exchange, key, bits


def decoded_ack(payload: bytes) -> tuple[int, bool]:
    """Delivery tag and ``multiple`` of a basic.ack."""
    if len(payload) != _ACK_SIZE:
        raise _undecodable(ACK_INDEX, payload)
    tag, bits = _TAG_AND_BIT.unpack_from(payload, _INDEX.size)
    return tag, bool(bits & 1)
