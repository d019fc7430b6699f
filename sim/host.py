"""The seam, filled for one incarnation: its clocks, its entropy, its disk, its network."""

import asyncio
import random
from collections.abc import Callable

from runtime.host import Host, Ids, Listener
from sim.disk import SimDisk
from sim.loop import VirtualLoop
from sim.seed import EPOCH_S


class NodeClock:
    """The clocks of one node; ``skew_s`` is how far its wall clock is off, and faults change it.

    ``reads`` counts how often somebody has asked the wall clock.
    """

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self.skew_s = 0.0
        self.reads = 0

    def monotonic(self) -> float:
        """Return virtual seconds."""
        return self._loop.time()

    def wall(self) -> float:
        """Return virtual seconds since 1970, as this node believes."""
        self.reads += 1
        return EPOCH_S + self._loop.time() + self.skew_s


class _Listener:
    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        self.port: int = server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        self._server.close()


class _Network:
    async def listen(
        self, factory: Callable[[], asyncio.Protocol], host: str, port: int
    ) -> Listener:
        loop = asyncio.get_running_loop()
        return _Listener(await loop.create_server(factory, host, port))


def simulated_host(clock: NodeClock, rng: random.Random, disk: SimDisk) -> Host:
    """Return the host of one incarnation."""
    return Host(clock, rng, Ids(clock, rng), disk, _Network())
