"""Puts a tap on every connection of a run that faults may meddle with, and knows the live ones."""

from collections.abc import Callable

from sim.incarnation import NOBODY
from sim.network import Network
from sim.taps.amqp import AmqpTap
from sim.taps.http import HttpRule, HttpTap
from sim.taps.unit import Rules
from sim.wire import Wire


class Switchboard:
    """The taps of one run, and the rules in force. ``amqp`` and ``http``: which are wanted.

    ``on_tap`` is called with each new tap on an AMQP connection.
    """

    def __init__(self, network: Network, *, amqp: bool, http: bool) -> None:
        self.rules = Rules()
        self.http_rules: list[HttpRule] = []
        self.on_tap: list[Callable[[AmqpTap], None]] = []
        self._owed = 0
        self._network = network
        self._amqp, self._http = amqp, http
        if amqp or http:
            network.on_connect = self._connected

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something later, whatever becomes of the connection that it began on."""
        self._owed += 1
        self._network.loop.call_later(seconds, self._act, act, context=NOBODY)

    def _act(self, act: Callable[[], object]) -> None:
        self._owed -= 1
        act()

    def owes(self) -> bool:
        """Whether something of a fault is still to come: a late copy of a message, say."""
        return self._owed > 0 or any(tap.owed for tap in self.amqp_taps())

    def amqp_taps(self, client: str = "") -> list[AmqpTap]:
        """Return the live taps on AMQP connections, of this client or all, oldest first."""
        taps = (wire.tap for wire in self._network.wires.values())
        found = (tap for tap in taps if isinstance(tap, AmqpTap) and tap.live)
        return [tap for tap in found if not client or tap.client == client]

    def _connected(self, wire: Wire) -> None:
        wire.tap = _Unknown(self, wire)

    def recognised(self, wire: Wire, first: bytes) -> None:
        """The first bytes say which protocol it is: put the right tap on, or none."""
        wire.tap = None
        if first.startswith(b"AMQP"):
            if self._amqp:
                tap = wire.tap = AmqpTap(wire, self.rules)
                for notice in self.on_tap:
                    notice(tap)
        elif self._http:
            wire.tap = HttpTap(wire, self.http_rules)


class _Unknown:
    """A connection on which nobody has spoken yet: in both protocols the client is the first."""

    def __init__(self, board: Switchboard, wire: Wire) -> None:
        self._board, self._wire = board, wire

    def from_client(self, data: bytes) -> None:
        self._board.recognised(self._wire, data)
        self._wire.tapped(self._wire.client, data)

    def from_server(self, data: bytes) -> None:
        self._wire.pass_on(data, to_server=False)

    def holds_back(self, end: str, *, to_server: bool) -> bool:
        return False
