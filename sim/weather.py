"""What is between two nodes: the state of the way, and what a connection asks of it."""

import random
from typing import TYPE_CHECKING, Protocol

import msgspec

from sim.loop import VirtualLoop
from sim.trace import Trace

if TYPE_CHECKING:
    from sim.wire import End, Wire


class Path(msgspec.Struct):
    """The state of the way from one node to another, one direction of it.

    ``silent``: bytes wait and nobody is told. ``refusing``: new connections are refused.
    ``split``: how likely a chunk arrives in two pieces. ``gather_s``: bytes wait for so long for
    others and arrive as one. ``bytes_per_s``: the line's speed, 0 where it has no bound. Latencies
    in seconds. ``touched`` counts what the weather has done: chunks that waited, came in pieces,
    came together or came late, and connections that were refused. ``late_s``: so much later at
    most.
    """

    latency_s_min: float = 0.0002
    latency_s_max: float = 0.003
    split: float = 0.0
    gather_s: float = 0.0
    bytes_per_s: float = 0.0
    late_s: float = 0.0
    silent: bool = False
    refusing: bool = False
    touched: int = 0

    def heal(self) -> None:
        """Become as good as new."""
        self.silent = self.refusing = False
        self.split = self.gather_s = self.bytes_per_s = self.late_s = 0.0


class Weather(Protocol):
    """What a wire asks of the network that it is part of."""

    loop: VirtualLoop
    trace: Trace
    waiting: dict[tuple[int, bool], list[tuple[str, bytes]]]

    def stream(self, *names: str | int) -> random.Random:
        """Return the randomness of a connection."""
        ...

    def path(self, source: str, target: str) -> Path:
        """Return the way from one node to another."""
        ...

    def must_wait(self, wire: "Wire", end: "End") -> bool:
        """Whether what ``end`` sends must not arrive now."""
        ...

    def wait(self, wire: "Wire", end: "End", kind: str, data: bytes) -> None:
        """Keep what must not arrive now."""
        ...

    def has_kernel(self, node: str) -> bool:
        """Whether the node has power: then it resets connections that nobody knows any more."""
        ...

    def forget(self, wire: "Wire") -> None:
        """Both ends are gone."""
        ...
