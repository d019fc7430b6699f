"""Somebody in the middle of one HTTP/1.1 connection.

A request is what the client sends until an answer begins; an answer is what the server sends until
the client speaks again. That is all a tap needs to know: clients here do not pipeline.
"""

from collections.abc import Callable
from typing import Literal

from sim.chance import Chance
from sim.incarnation import NOBODY
from sim.wire import Wire

Moment = Literal["request", "reply"]


class Exchange:
    """One request and its reply, on one connection."""

    __slots__ = ("method", "path")

    def __init__(self, head: bytes) -> None:
        line = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ")
        self.method = line[0]
        self.path = line[1] if len(line) > 1 else ""

    @property
    def changes(self) -> bool:
        """Whether it asks for a change."""
        return self.method not in ("GET", "HEAD")


class HttpRule:
    """Meddles with requests or replies between two nodes: ``act`` is done instead of passing on.

    Only requests that change something count, or with ``reads`` all; ``chance`` is about a part of
    their path.
    """

    def __init__(
        self,
        moment: Moment,
        act: Callable[["HttpTap", bytes], None],
        chance: Chance,
        nodes: tuple[str, str],
        *,
        reads: bool = False,
    ) -> None:
        self.moment = moment
        self.act = act
        self._chance = chance
        self._nodes = nodes
        self._reads = reads

    def wants(self, tap: "HttpTap", exchange: Exchange) -> bool:
        """Whether this one is taken."""
        return (
            tap.wire.nodes == self._nodes
            and (self._reads or exchange.changes)
            and self._chance.only in exchange.path
            and self._chance.takes()
        )


class HttpTap:
    """See the module. ``exchange`` is the one under way."""

    def __init__(self, wire: Wire, rules: list[HttpRule]) -> None:
        self.wire = wire
        self.exchange: Exchange | None = None
        self._rules = rules
        self._answering = self._deaf = False
        self._kept: bytes | None = None
        self._ends: list[str] = []

    @property
    def waiting(self) -> bool:
        """Whether a request is being worked on."""
        return self.exchange is not None and not self._answering and not self._ended

    @property
    def _ended(self) -> bool:
        return self.wire.client.lost or self.wire.server.lost

    def from_client(self, data: bytes) -> None:
        """A request, or more of it."""
        if self.exchange is None or self._answering:
            self.exchange, self._answering = Exchange(data), False
            self._decide("request", data)
        else:
            self.pass_on(data, to_server=True)

    def from_server(self, data: bytes) -> None:
        """An answer, or more of it."""
        if self.exchange is not None and not self._answering:
            self._answering = True
            self._decide("reply", data)
        else:
            self.pass_on(data, to_server=False)

    def holds_back(self, end: str, *, to_server: bool) -> bool:
        """The end of a reply that is kept comes with it."""
        if to_server or self._kept is None:
            return False
        self._ends.append(end)
        return True

    def _decide(self, moment: Moment, data: bytes) -> None:
        exchange = self.exchange
        assert exchange is not None
        for rule in self._rules:
            if rule.moment == moment and rule.wants(self, exchange):
                rule.act(self, data)
                return
        self.pass_on(data, to_server=moment == "request")

    # -- a rule's means ---------------------------------------------------------------------------

    def pass_on(self, data: bytes, *, to_server: bool) -> None:
        """Let bytes travel, unless nothing passes any more, or replies are kept."""
        if self._deaf:
            return
        if self._kept is not None and not to_server:
            self._kept += data
        else:
            self.wire.pass_on(data, to_server=to_server)

    def keep(self) -> None:
        """Let nothing of the reply pass until `release`."""
        self._kept = self._kept or b""

    def release(self) -> None:
        """Let the reply go on, and its end, if that has come."""
        kept, self._kept = self._kept, None
        if kept:
            self.pass_on(kept, to_server=False)
        for end in self._ends:
            self.wire.send(self.wire.server, end, b"")
        self._ends.clear()

    def deafen(self) -> None:
        """Let nothing pass any more, in either direction."""
        self._deaf = True

    def later(self, seconds: float, act: Callable[[], object]) -> None:
        """Do something later, as nobody's, unless the client has gone."""
        self.wire.loop.call_later(seconds, self._if_live, act, context=NOBODY)

    def _if_live(self, act: Callable[[], object]) -> None:
        if not self.wire.client.lost:
            act()
