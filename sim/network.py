"""TCP in memory: a world's connections, its listening ports, and the weather between its nodes.

A node is its own address. What binds 127.0.0.1 is reached from its own node only. Faults act on a
*path*, the way from one node to another (see `sim.wire` for one connection).
"""

import asyncio
import random
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import msgspec

from sim.incarnation import CURRENT, Incarnation
from sim.loop import VirtualLoop
from sim.seed import Seed
from sim.socket_stand_in import SocketStandIn
from sim.trace import Trace
from sim.weather import Path
from sim.wire import End, Wire

LOOPBACK = ("127.0.0.1", "localhost", "::1")
SYN_RETRY_S = 1.0
_ANYWHERE = ("0.0.0.0", "::", "")  # noqa: S104 - names that are read, nothing is bound
_EPHEMERAL = 32768


class Server:
    """A listening port; the part of asyncio.Server that libraries use."""

    def __init__(
        self, network: "Network", node: str, host: str, port: int, factory: Callable[[], Any]
    ) -> None:
        self.host, self.port = host, port
        self.factory = factory
        self.context = copy_context()
        self.owner: Incarnation | None = CURRENT.get()
        self.sockets = (SocketStandIn((host, port), ("", 0), None),)
        self._network = network
        self._node = node

    def close(self) -> None:
        """Listen no more; connections stay."""
        self._network.stop_listening(self._node, self)

    async def wait_closed(self) -> None:
        """Return at once, as asyncio's does before Python 3.12."""

    def is_serving(self) -> bool:
        """Whether it listens."""
        return self._network.server_at(self._node, self.port) is self

    async def start_serving(self) -> None:
        """It does already."""

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """Return the loop."""
        return self._network.loop


class Network:
    """All nodes' connections, each with its own randomness of the seed's."""

    def __init__(self, loop: VirtualLoop, trace: Trace, seed: Seed) -> None:
        self.loop = loop
        self.trace = trace
        self._seed = seed
        self.defaults = Path()
        self.on_connect: Callable[[Wire], None] | None = None
        self.bystander: Callable[[Wire], None] | None = None
        self.on_refused: Callable[[str, str, int], None] | None = None
        self.wires: dict[int, Wire] = {}
        self.waiting: dict[tuple[int, bool], list[tuple[str, bytes]]] = {}
        self._paths: dict[tuple[str, str], Path] = {}
        self._servers: dict[tuple[str, int], Server] = {}
        self._ports: dict[str, int] = {}
        self._made = 0
        self.without_power: set[str] = set()
        loop.network = self

    def stream(self, *names: str | int) -> random.Random:
        """Return the randomness of a connection."""
        return self._seed.stream("net", *names)

    # -- faults -----------------------------------------------------------------------------------

    def path(self, source: str, target: str) -> Path:
        """Return the way from ``source`` to ``target``; change it to change the weather there."""
        found = self._paths.get((source, target))
        if found is None:
            found = self._paths[source, target] = msgspec.structs.replace(self.defaults)
        return found

    def heal(self) -> None:
        """Make every path as good as new; what waited goes on, in order."""
        for path in self._paths.values():
            path.heal()
        self.release()

    def release(self) -> None:
        """Let go on what waits on paths that are not silent any more."""
        for (number, from_client), chunks in list(self.waiting.items()):
            wire = self.wires.get(number)
            nodes = None if wire is None else wire.nodes
            if nodes is not None and self.path(*(nodes if from_client else nodes[::-1])).silent:
                continue
            del self.waiting[number, from_client]
            if wire is not None:
                end = wire.client if from_client else wire.server
                for kind, data in chunks:
                    wire.deliver(end, kind, data)

    def must_wait(self, wire: Wire, end: End) -> bool:
        """Whether what ``end`` sends must not arrive now: its path is silent, or others wait."""
        return end.path.silent or (wire.number, end is wire.client) in self.waiting

    def wait(self, wire: Wire, end: End, kind: str, data: bytes) -> None:
        """Keep what must not arrive now."""
        end.path.touched += 1
        self.waiting.setdefault((wire.number, end is wire.client), []).append((kind, data))

    def between(self, one: str, other: str) -> list[Wire]:
        """Return the live connections of two nodes, oldest first."""
        return [wire for wire in self.wires.values() if set(wire.nodes) == {one, other}]

    def died(self, victim: Incarnation, *, told: bool) -> None:
        """Take an incarnation's ports and connections away; peers are ``told``, or left waiting."""
        if not told:
            self.without_power.add(victim.node)
        for (node, port), server in list(self._servers.items()):
            if server.owner is victim:
                del self._servers[node, port]
        for wire in list(self.wires.values()):
            for end in (wire.client, wire.server):
                if end.owner is victim:
                    end.sever(told=told)

    def has_kernel(self, node: str) -> bool:
        """Whether the node has power: then it resets connections that nobody knows any more."""
        return node not in self.without_power

    def clear(self) -> None:
        """Forget everything: the run is over."""
        self.wires.clear()
        self.waiting.clear()
        self._servers.clear()

    # -- connections ------------------------------------------------------------------------------

    def listen(self, factory: Callable[[], Any], host: Any, port: int) -> Server:
        """Listen on a port of the running node; 0 takes a free one."""
        node, host = _node(), host or "0.0.0.0"  # noqa: S104
        if port == 0:
            port = self._free_port(node)
        if (node, port) in self._servers:
            raise OSError(98, f"error while attempting to bind on address ('{host}', {port})")
        server = self._servers[node, port] = Server(self, node, host, port, factory)
        return server

    def stop_listening(self, node: str, server: Server) -> None:
        """Give the port back."""
        if self._servers.get((node, server.port)) is server:
            del self._servers[node, server.port]

    def server_at(self, node: str, port: int) -> Server | None:
        """Return who listens there."""
        return self._servers.get((node, port))

    def stand_in(self, host: str, port: int) -> SocketStandIn:
        """Return a bound socket's stand-in, for libraries that bind before they listen."""
        node = _node()
        taken = port or self._free_port(node)
        if (node, taken) in self._servers:
            raise OSError(98, "Address already in use")
        return SocketStandIn((host, taken), ("", 0), None)

    async def connect(self, factory: Callable[[], Any], host: Any, port: int) -> tuple[End, Any]:
        """Connect from the running node; ConnectionRefusedError where nobody listens."""
        here = _node()
        name = host.decode() if isinstance(host, bytes) else host
        there = here if name in LOOPBACK or name in _ANYWHERE else name
        share = self._seed.once("net", "syn", here, there, self._made)
        self._made += 1
        await asyncio.sleep(share * 2 * self.path(here, there).latency_s_max)
        while self._unanswered(here, there, port):
            self.path(here, there).touched += 1
            await asyncio.sleep(SYN_RETRY_S)
        server = self._servers.get((there, port))
        if server is None or self.path(here, there).refusing or not _reaches(here, there, server):
            self.path(here, there).touched += self.path(here, there).refusing
            self.trace.note(self.loop.time(), "refused", here, there, port)
            if self.on_refused is not None:
                self.on_refused(here, there, port)
            raise ConnectionRefusedError(111, f"Connect call failed ('{there}', {port})")
        return self._join(factory, here, there, server)

    def _unanswered(self, here: str, there: str, port: int) -> bool:
        """Whether a connection attempt meets nothing but silence now."""
        server = self._servers.get((there, port))
        frozen = server is not None and server.owner is not None and server.owner.state == "frozen"
        silent = self.path(here, there).silent or self.path(there, here).silent
        return frozen or silent or there in self.without_power

    def forget(self, wire: Wire) -> None:
        """Both ends are gone."""
        self.wires.pop(wire.number, None)

    def _join(
        self, factory: Callable[[], Any], here: str, there: str, server: Server
    ) -> tuple[End, Any]:
        self._made += 1
        wire = Wire(self, self._made, (here, there), (self._free_port(here), server.port))
        self.wires[wire.number] = wire
        wire.client, wire.server = End(wire, copy_context()), End(wire, server.context)
        wire.client.peer, wire.server.peer = wire.server, wire.client
        wire.client.path, wire.server.path = self.path(here, there), self.path(there, here)
        self.trace.note(self.loop.time(), "connect", wire.number, here, there, server.port)
        if self.on_connect is not None:
            self.on_connect(wire)
        if self.bystander is not None:
            self.bystander(wire)
        accepted = server.context.copy().run(server.factory)
        wire.server.protocol = accepted
        self.loop.call_soon(accepted.connection_made, wire.server, context=wire.server.context)
        protocol = factory()
        wire.client.protocol = protocol
        protocol.connection_made(wire.client)
        return wire.client, protocol

    def _free_port(self, node: str) -> int:
        port = self._ports[node] = self._ports.get(node, _EPHEMERAL - 1) + 1
        return port


def _node() -> str:
    owner = CURRENT.get()
    return "outside" if owner is None else owner.node


def _reaches(here: str, there: str, server: Server) -> bool:
    return here == there or server.host not in LOOPBACK
