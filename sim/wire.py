"""One TCP connection in memory: two ends, the wire between them, and who may sit on it.

The laws: bytes of one direction arrive in order and once, or not at all; whatever arrives, arrives
in the receiver's context, so that a dead receiver drops it; each connection draws its latencies
from a stream of its own.

A *tap* sits on a connection and sees each chunk before it travels; it may hold, change, drop or
add bytes (see `sim.taps`).
"""

import asyncio
from contextvars import Context
from typing import Any, Protocol
from zlib import crc32

from sim.bystander import Listener
from sim.incarnation import CURRENT, NOBODY, Incarnation
from sim.socket_stand_in import SocketStandIn
from sim.weather import Path, Weather

_HIGH_WATER, _LOW_WATER = 64 * 1024, 16 * 1024
_KERNEL_BYTES = 16 * 1024
"""So much is on its way without being in a transport's own buffer: the kernels hold it."""


class Tap(Protocol):
    """Somebody in the middle of one connection. It sends on with `Wire.pass_on`, or does not."""

    def from_client(self, data: bytes) -> None:
        """Bytes are on their way to the server."""
        ...

    def from_server(self, data: bytes) -> None:
        """Bytes are on their way to the client."""
        ...

    def holds_back(self, end: str, *, to_server: bool) -> bool:
        """Whether an end (``eof``, ``fin``) waits behind bytes; then it is the tap's to send."""
        ...


class End(asyncio.Transport):
    """One end of a connection: an asyncio transport, and what the peer's kernel knows of it."""

    def __init__(self, wire: "Wire", context: Context) -> None:
        super().__init__()
        self.wire = wire
        self.context = context
        self.owner: Incarnation | None = context.get(CURRENT)
        self.protocol: Any = None
        self.peer: End = self
        self.path: Path
        self.listener: Listener | None = None
        self._socket: SocketStandIn | None = None
        self.last_arrival = 0.0
        self.gathering: list[bytes] = []
        self.lost = self.orphaned = False
        self._closing = self._eof_sent = False
        self._in_flight = 0
        self._write_paused = self._read_paused = False
        self._unread: list[tuple[str, bytes]] = []

    # -- asyncio's side ---------------------------------------------------------------------------

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return the socket stand-in, or one of its addresses."""
        own, peer = self.wire.addresses(self)
        if name == "socket":
            if self._socket is None:
                self._socket = SocketStandIn(own, peer, self)
            return self._socket
        return {"sockname": own, "peername": peer}.get(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Hand what arrives to this protocol from now on."""
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """Return the protocol."""
        protocol: asyncio.BaseProtocol = self.protocol
        return protocol

    def is_closing(self) -> bool:
        """Whether nothing more is sent."""
        return self._closing

    def is_reading(self) -> bool:
        """Whether what arrives is handed on."""
        return not self._read_paused

    def can_write_eof(self) -> bool:
        """It can."""
        return True

    def get_write_buffer_size(self) -> int:
        """Return the bytes that neither the peer nor a kernel has taken yet."""
        return max(0, self._in_flight - _KERNEL_BYTES)

    def get_write_buffer_limits(self) -> tuple[int, int]:
        """Return when writing pauses and resumes."""
        return _LOW_WATER, _HIGH_WATER

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Keep the limits: nobody here depends on others."""

    def pause_reading(self) -> None:
        """Keep what arrives."""
        self._read_paused = True

    def resume_reading(self) -> None:
        """Hand on what has been kept, and what arrives."""
        if self._read_paused:
            self._read_paused = False
            if self._unread:
                self.wire.loop.call_soon(self._hand_on, context=self.context)

    def write(self, data: Any) -> None:
        """Send bytes."""
        if self._closing or not data:
            return
        self.wire.tapped(self, bytes(data))

    def write_eof(self) -> None:
        """Say that nothing more comes."""
        if not self._closing and not self._eof_sent:
            self._eof_sent = True
            self.wire.say_end(self, "eof")

    def close(self) -> None:
        """Send what was written, then the end."""
        if not self._closing:
            self._closing = True
            self.wire.say_end(self, "fin")
            self.wire.loop.call_soon(self._lose, None, context=self.context)

    def abort(self) -> None:
        """Cut: the peer gets a reset."""
        if not self.lost:
            self._closing = True
            self.wire.send(self, "rst", b"")
            self.wire.loop.call_soon(self._lose, None, context=self.context)

    # -- the network's side -----------------------------------------------------------------------

    @property
    def readable(self) -> bool:
        """Whether a read would not wait: data, or the end, has come (poll's POLLIN)."""
        return self._closing or bool(self._unread)

    def arrive(self, kind: str, data: bytes) -> None:
        """Something has come from the peer."""
        if self.lost:
            return
        if self._read_paused and kind != "rst":
            self._unread.append((kind, data))
        elif kind == "data":
            self.peer.taken(len(data))
            if not self._closing:
                if self.listener is not None:
                    self.listener.got(data)
                self.protocol.data_received(data)
        elif kind == "rst":
            self._closing = True
            self._lose(ConnectionResetError(104, "Connection reset by peer"))
        elif not self._closing and not self.protocol.eof_received():
            self.close()

    def _hand_on(self) -> None:
        while self._unread and not self._read_paused and not self.lost:
            self.arrive(*self._unread.pop(0))

    def sent(self, size: int) -> None:
        """So many bytes are on their way; the writer is asked to wait where they are too many."""
        self._in_flight += size
        if self._in_flight > _HIGH_WATER and not self._write_paused and not self.lost:
            self._write_paused = True
            self.protocol.pause_writing()

    def taken(self, size: int) -> None:
        """The peer has taken this many bytes."""
        self._in_flight -= size
        if self._write_paused and self._in_flight < _LOW_WATER and not self.lost:
            self.wire.loop.call_soon(self._resume, context=self.context)

    def _resume(self) -> None:
        """Let the writer go on, unless more was sent meanwhile: then it is not told again."""
        if self._write_paused and self._in_flight < _LOW_WATER and not self.lost:
            self._write_paused = False
            self.protocol.resume_writing()

    def _lose(self, error: Exception | None) -> None:
        if not self.lost:
            self.lost = self._closing = True
            self.wire.ended()
            self.protocol.connection_lost(error)
            self.protocol = None  # as asyncio's do: else nothing of a connection is ever freed

    def sever(self, *, told: bool) -> None:
        """Its process has died. The kernel resets the connection, if there is still a kernel.

        Without one the peer hears nothing, until it sends to a machine that is back.
        """
        if not self.lost:
            self.lost = self._closing = self.orphaned = True
            if told:
                self.wire.send(self, "rst", b"")
            self.wire.ended()


class Wire:
    """One connection between a client's `End` and a server's."""

    def __init__(
        self, network: Weather, number: int, nodes: tuple[str, str], ports: tuple[int, int]
    ) -> None:
        self.network = network
        self.loop = network.loop
        self.number = number
        self.nodes = nodes
        self.ports = ports
        self.tap: Tap | None = None
        self.client: End
        self.server: End
        self._random = network.stream(number)

    def addresses(self, end: End) -> tuple[tuple[str, int], tuple[str, int]]:
        """Return the end's own address and the other's."""
        mine = 0 if end is self.client else 1
        return (
            (self.nodes[mine], self.ports[mine]),
            (self.nodes[1 - mine], self.ports[1 - mine]),
        )

    def tapped(self, end: End, data: bytes) -> None:
        """Send bytes past the tap, if there is one."""
        if end.listener is not None:
            end.listener.wrote(data)
        if self.tap is None:
            self.send(end, "data", data)
        elif end is self.client:
            self.tap.from_client(data)
        else:
            self.tap.from_server(data)

    def say_end(self, end: End, kind: str) -> None:
        """Say that nothing more comes from this end, behind what the tap holds back."""
        if self.tap is None or not self.tap.holds_back(kind, to_server=end is self.client):
            self.send(end, kind, b"")

    def pass_on(self, data: bytes, *, to_server: bool) -> None:
        """Let bytes travel: the tap's way to send."""
        self.send(self.client if to_server else self.server, "data", data)

    def send(self, end: End, kind: str, data: bytes) -> None:
        """Let something travel from ``end`` to its peer."""
        path = end.path
        if kind == "data":
            end.sent(len(data))
        if path.gather_s and kind == "data":
            self._gather(end, path, data)
            return
        if end.gathering:
            self._send_gathered(end)
        if kind == "data" and path.split and len(data) > 1 and self._random.random() < path.split:
            cut = self._random.randrange(1, len(data))
            path.touched += 1
            self._travel(end, path, kind, data[:cut])
            data = data[cut:]
        self._travel(end, path, kind, data)

    def reset(self) -> None:
        """Reset the connection from the middle, behind what is on its way."""
        self.send(self.client, "rst", b"")
        self.send(self.server, "rst", b"")

    def cut(self) -> None:
        """Reset the connection from the middle: both ends lose it at once."""
        for end in (self.client, self.server):
            if not end.lost:
                self.loop.call_soon(end.arrive, "rst", b"", context=end.context)

    def ended(self) -> None:
        """One end has lost the connection."""
        if self.client.lost and self.server.lost:
            self.network.forget(self)

    def _direction(self, end: End) -> tuple[str, str]:
        here, there = self.nodes
        return (here, there) if end is self.client else (there, here)

    def _gather(self, end: End, path: Path, data: bytes) -> None:
        if end.gathering:
            path.touched += 1
        else:
            self.loop.call_later(path.gather_s, self._send_gathered, end, context=NOBODY)
        end.gathering.append(data)

    def _send_gathered(self, end: End) -> None:
        data = b"".join(end.gathering)
        end.gathering.clear()
        if data:
            self._travel(end, end.path, "data", data)

    def _travel(self, end: End, path: Path, kind: str, data: bytes) -> None:
        loop = self.loop
        now = loop.time()
        side = 0 if end is self.client else 1
        self.network.trace.note(now, "net", self.number, side, kind, len(data), crc32(data))
        least = path.latency_s_min
        at = now + least + (path.latency_s_max - least) * self._random.random()
        if at < end.last_arrival:
            at = end.last_arrival
        if path.bytes_per_s or path.late_s:
            path.touched += 1
            at += path.late_s * self._random.random()
            at += len(data) / path.bytes_per_s if path.bytes_per_s else 0.0
        end.last_arrival = at
        # At a machine whose process is gone there is a kernel at most, which has no context.
        context = end.context if end.peer.orphaned else end.peer.context
        loop.call_at(at, self._arrive, end, kind, data, context=context)

    def _arrive(self, end: End, kind: str, data: bytes) -> None:
        peer, network = end.peer, self.network
        if peer.orphaned and network.has_kernel(self._direction(end)[1]):
            self.loop.call_soon(end.arrive, "rst", b"", context=end.context)
        elif end.path.silent or (network.waiting and network.must_wait(self, end)):
            network.wait(self, end, kind, data)
        else:
            peer.arrive(kind, data)

    def deliver(self, end: End, kind: str, data: bytes) -> None:
        """What had to wait on a silent path goes on."""
        self.loop.call_soon(end.peer.arrive, kind, data, context=end.peer.context)
