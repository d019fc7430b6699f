"""What passes between the broker and its clients: published, confirmed, delivered, acknowledged.

The broker's side of a wire tells what the broker got and gave, behind whatever sits on the wire
(`sim.watch.server_side`); the client's side tells what the client could know, and when
(`sim.watch.client_side`). Only wires that open with AMQP's greeting are listened to.
"""

from sim.judges.observed import Consuming, Delivery, Publication, Written
from sim.watch import frames
from sim.watch.client_side import ClientSide, Fates
from sim.watch.clock import Clock
from sim.watch.server_side import ServerSide
from sim.wire import Wire

HTTP_PORTS = range(8080, 8090)


class BrokerWatch:
    """Listens to every wire that speaks AMQP."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.written: list[Written] = []
        self.published: list[Publication] = []
        self.consuming: list[Consuming] = []
        self.delivered: list[Delivery] = []
        self.fates = Fates()
        self.links: list[Link] = []
        self.attempts: list[tuple[float, str]] = []

    def listen(self, wire: Wire) -> None:
        """Listen to a new wire."""
        wire.client.listener = _Stranger(self, wire)

    def refused(self, node: str, _host: str, port: int) -> None:
        """A connection was refused; one to a broker is an attempt to reach it."""
        if port not in HTTP_PORTS:
            self.attempts.append((self.clock()[0], node))

    def finish(self) -> None:
        """Account for channels that ended with their wires."""
        for link in self.links:
            if link.wire.server.lost:
                link.server.ended()

    def unacked(self) -> int:
        """Return how many deliveries are out on living channels."""
        return sum(link.server.unacked() for link in self.links if not link.wire.server.lost)

    def held_by(self, node: str) -> int:
        """Return how many deliveries a node's processes hold now."""
        links = (link for link in self.links if link.wire.nodes[0] == node)
        return sum(link.client.unacked() for link in links if not link.wire.client.lost)

    def torn(self) -> int:
        """Return how many connections ended inside a frame."""
        return sum(link.torn() for link in self.links)


class _Stranger:
    """Waits for what a client says first."""

    def __init__(self, watch: BrokerWatch, wire: Wire) -> None:
        self._watch = watch
        self._wire = wire

    def wrote(self, data: bytes) -> None:
        """It has written: listen to both ends if it speaks AMQP, else to none."""
        client, server = self._wire.client, self._wire.server
        client.listener = None
        if data.startswith(frames.GREETING):
            link = Link(self._watch, self._wire)
            client.listener, server.listener = link.client, link.server
            self._watch.links.append(link)
            self._watch.attempts.append((self._watch.clock()[0], self._wire.nodes[0]))
            link.client.wrote(data)

    def got(self, data: bytes) -> None:
        """It has been given bytes."""


class Link:
    """One AMQP connection, both its sides."""

    def __init__(self, watch: BrokerWatch, wire: Wire) -> None:
        self.wire = wire
        owner = wire.client.owner
        whose = wire.nodes[0], 0 if owner is None else owner.number
        seen = watch.written, watch.delivered
        self.client = ClientSide(watch.clock, whose, watch.fates, *seen)
        self.server = ServerSide(watch.clock, whose[0], watch.published, watch.consuming)

    def torn(self) -> bool:
        """Whether the connection ended while one side had a part of a frame."""
        wire = self.wire
        half = self.client.reader.amid or self.server.reader.amid
        return half and wire.client.lost and wire.server.lost
