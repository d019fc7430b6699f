"""Field tables as raw entries, so that nothing loses its type on the way through.

AMQP 0-9-1, 4.2.5.5, with RabbitMQ's type letters. A decoded Python value no longer says whether it
came as a byte or a long; RabbitMQ names that type in its errors, and passes unknown headers on
bit for bit. So a table is kept as name -> (type letter + encoded value).
"""

import struct
from collections.abc import Iterable, Mapping

from pamqp import decode

from runtime.broker.errors import SYNTAX_ERROR, BrokerError

Entries = dict[str, bytes]

TYPE_NAMES = {
    b"S": "longstr",
    b"I": "signedint",
    b"D": "decimal",
    b"T": "timestamp",
    b"F": "table",
    b"A": "array",
    b"B": "unsignedbyte",
    b"b": "byte",
    b"s": "short",
    b"u": "unsignedshort",
    b"i": "unsignedint",
    b"l": "long",
    b"d": "double",
    b"f": "float",
    b"t": "bool",
    b"x": "binary",
    b"V": "void",
}
INTEGERS = frozenset(("signedint", "unsignedbyte", "byte", "short", "unsignedshort", "unsignedint",
                      "long"))  # fmt: skip

DEPTH_MAX = 64  # tables in tables; clients written in C and Python fall over far below RabbitMQ

_SIZES = {b"I": 4, b"D": 5, b"T": 8, b"B": 1, b"b": 1, b"s": 2, b"u": 2, b"i": 4, b"l": 8, b"d": 8,
          b"f": 4, b"t": 1, b"V": 0}  # fmt: skip
_INTEGER_FORMATS = {b"I": ">i", b"B": ">B", b"b": ">b", b"s": ">h", b"u": ">H", b"i": ">I",
                    b"l": ">q"}  # fmt: skip
_NUMBER_FORMATS = {**_INTEGER_FORMATS, b"T": ">Q", b"d": ">d", b"f": ">f"}
_BINARIES = (b"S", b"x")
_LENGTH = struct.Struct(">I")


def entries(table: bytes) -> Entries:
    """Split an encoded table (without its length) into raw entries.

    BrokerError if it is malformed at any depth: whoever reads a part of it later need not check.
    """
    try:
        return _entries(table, 0)
    except (IndexError, struct.error, UnicodeDecodeError) as error:
        raise BrokerError(SYNTAX_ERROR, "malformed field table") from error


def _entries(table: bytes, depth: int) -> Entries:
    found: Entries = {}
    position = 0
    while position < len(table):
        start = position + 1 + table[position]
        name = table[position + 1 : start].decode()
        position = _after(table, start, depth)
        found[name] = table[start:position]
    return found


def encoded(fields: Mapping[str, bytes]) -> bytes:
    """Join raw entries to a table with its length in front."""
    parts = bytearray()
    for name, value in fields.items():
        raw = name.encode()
        parts += bytes((len(raw),)) + raw + value
    return _LENGTH.pack(len(parts)) + bytes(parts)


def type_name(value: bytes) -> str:
    """RabbitMQ's word for the type of a raw value.

    >>> type_name(text("x")), type_name(long(1))
    ('longstr', 'long')
    """
    return TYPE_NAMES[value[:1]]


def integer(value: bytes) -> int:
    """The number in a raw value whose type is one of `INTEGERS`."""
    number: int = struct.unpack(_INTEGER_FORMATS[value[:1]], value[1:])[0]
    return number


def string(value: bytes) -> str:
    """The text in a raw long string."""
    return value[5:].decode(errors="replace")


def plain(value: bytes) -> object:
    """The Python value of a raw value; BrokerError where it has none (a time out of range)."""
    try:
        result: object = decode.embedded_value(value)[1]
    except (ValueError, OverflowError, IndexError, struct.error) as error:
        raise BrokerError(SYNTAX_ERROR, "malformed field value") from error
    return result


def same(one: bytes, other: bytes) -> bool:
    """Whether two raw values are equal; integers of different sizes are."""
    if type_name(one) in INTEGERS and type_name(other) in INTEGERS:
        return integer(one) == integer(other)
    return one == other


def equal(one: bytes, other: bytes) -> bool:
    """Whether the values are equal, whatever their types (Erlang's ``==``).

    >>> equal(b"B\x01", long(1)), equal(text("1"), long(1))
    (True, False)
    """
    numbers = _number(one), _number(other)
    if None not in numbers:
        return numbers[0] == numbers[1]
    if one[:1] in _BINARIES and other[:1] in _BINARIES:
        return one[5:] == other[5:]
    return one == other


def _number(value: bytes) -> int | float | None:
    layout = _NUMBER_FORMATS.get(value[:1])
    return None if layout is None else struct.unpack(layout, value[1:])[0]


def printed(value: bytes) -> str:
    """The value as Erlang's ``~p`` prints it; numbers, truths and texts only."""
    shown = plain(value)
    if isinstance(shown, bool):
        return str(shown).lower()
    return f'<<"{shown}">>' if isinstance(shown, str) else str(shown)


def text(value: str) -> bytes:
    """A raw long string."""
    raw = value.encode()
    return b"S" + _LENGTH.pack(len(raw)) + raw


def long(value: int) -> bytes:
    """A raw 64-bit integer: the type RabbitMQ gives to its own counters."""
    return b"l" + struct.pack(">q", value)


def timestamp(seconds: int) -> bytes:
    """A raw time in seconds since the epoch."""
    return b"T" + struct.pack(">Q", seconds)


def array(values: Iterable[bytes]) -> bytes:
    """A raw array."""
    joined = b"".join(values)
    return b"A" + _LENGTH.pack(len(joined)) + joined


def nested(fields: Mapping[str, bytes]) -> bytes:
    """A raw table as a value."""
    return b"F" + encoded(fields)


def items(value: bytes) -> list[bytes]:
    """The raw values of a raw array."""
    found, position = list[bytes](), 5
    while position < len(value):
        end = _after(value, position, 0)
        found.append(value[position:end])
        position = end
    return found


def inner(value: bytes) -> Entries:
    """The raw entries of a raw table value."""
    return entries(value[5:])


def _after(data: bytes, position: int, depth: int) -> int:
    """Where the value that starts here ends; IndexError if it, or what it holds, does not fit."""
    kind = data[position : position + 1]
    size = _SIZES.get(kind)
    if size is not None:
        end = position + 1 + size
    elif kind in TYPE_NAMES:
        end = position + 5 + int(_LENGTH.unpack_from(data, position + 1)[0])
    else:
        raise IndexError(position)
    if end > len(data) or depth > DEPTH_MAX:
        raise IndexError(end)
    if kind == b"F":
        _entries(data[position + 5 : end], depth + 1)
    elif kind == b"A":
        inside, at = data[position + 5 : end], 0
        while at < len(inside):
            at = _after(inside, at, depth + 1)
    return end
