"""Messages whose properties break aiormq: six shapes, as the bytes that go over the wire.

pamqp 4.0.1 raises while it decodes them, and aiormq 7.2.4 then gives up the whole connection.
"""

import struct


def _nested(depth: int) -> bytes:
    table = b""
    for _ in range(depth):
        entry = b"\x01aF" + struct.pack(">I", len(table)) + table
        table = entry
    return struct.pack(">I", len(table)) + table


def _headers(name: bytes, value: bytes) -> bytes:
    table = bytes((len(name),)) + name + value
    return b"\x20\x00" + struct.pack(">I", len(table)) + table


#: Property flags and values of a content header.
POISON = {
    "timestamp out of range": struct.pack(">HQ", 0x0040, 2**63),
    "message id that is not UTF-8": b"\x00\x80\x02\xff\xfe",
    "type that is not UTF-8": b"\x00\x20\x02\xff\xfe",
    "deeply nested headers": b"\x20\x00" + _nested(2000),
    "header with a timestamp out of range": _headers(b"at", b"T" + struct.pack(">Q", 2**63)),
    "header with a name that is not UTF-8": _headers(b"\xff\xfe", b"t\x01"),
}
#: Our own broker reads header tables when they come in, and refuses what would break their reader.
REFUSED_BY_OURS = ("deeply nested headers", "header with a name that is not UTF-8")
#: Broker, and a shape that it takes and delivers.
DELIVERED = [("rabbitmq", name) for name in POISON] + [
    ("embedded", name) for name in POISON if name not in REFUSED_BY_OURS
]
